"""`python -m lightseg.list`."""

import subprocess
import sys

import pytest

from lightseg.list import main
from lightseg.list.classes import CLASSES
from lightseg.nets.heads import HEADS
from tests.conftest import ROOT
from tests.list.call import CALL


def test_classes__need_no_library():
    command = [sys.executable, "-c", CALL, *CLASSES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("\n[]\n")


@pytest.mark.slow
def test_pairs__names_what_builds_and_why_not(call, rows):
    (row,) = rows("pairs", "[t]est_vit")
    assert row["name"] == "test_vit"
    assert row["image"] == "/16"
    assert all(row[head] > 0 for head in HEADS)
    assert row["SmpNet"] == ["dpt"]
    assert "SMP cannot build unet with encoder test_vit" in row["reasons"]["SmpNet"]["unet"]
    code, out, _ = call(main, "pairs", "[t]est_vit")
    assert code == 0
    table, reason = out.rstrip().rsplit("\n", 1)
    assert table.splitlines()[1].split()[-1] == "dpt"
    assert reason.startswith("test_vit × SmpNet unet, unetplusplus, ")
    assert reason.endswith(": Unsupported model downsampling pattern.")


def test_table__names_alone(call):
    code, out, err = call(main, "heads", "[fd]p*", "--names")
    assert (code, out, err) == (0, "dpt\nfpn\n", "")
    # focal is one of exclusive classes and one of overlapping classes; the pattern may stand behind the options
    code, out, err = call(main, "losses", "--names", "focal")
    assert (code, out, err) == (0, "focal\nsigmoid_focal\n", "")
    code, out, _ = call(main, "heads", "FPN")
    assert [line.split()[0] for line in out.splitlines()] == ["name", "fpn"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["encodrs"], "did you mean encoders?"),
        (["heads", "upernt"], "heads: no name matches 'upernt'; did you mean upernet?"),
        (["losses", "--measure"], "--measure: is for encoders, heads, nets, not for losses"),
        (["heads", "--pretrained"], "--pretrained: is for encoders, not for heads"),
        (["heads", "--encoder", "resnet18"], "--encoder: needs --measure"),
        (["heads", "--measure", "--encoder", "resnett18"], "timm has no encoder 'resnett18'; did you mean resnet18?"),
        (["heads", "--names", "--json"], "give one of them"),
        (["completion", "fish"], "is for bash, not for 'fish'"),
    ],
)
def test_refusals(call, args, message):
    code, out, err = call(main, *args)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
