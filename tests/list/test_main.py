"""`python -m lightseg.list`."""

import json
import os
import subprocess
import sys

import pytest

from lightseg.list import main
from lightseg.list.classes import CLASSES
from lightseg.nets import FCN
from lightseg.nets.heads import HEADS, Levels, build_head
from tests.conftest import ROOT

CALL = """
import sys
from lightseg.list.__main__ import main

for kind in sys.argv[1:]:
    assert main([kind]) == 0
print(sorted({"torch", "timm", "lightning", "albumentations", "segmentation_models_pytorch"} & sys.modules.keys()))
"""


@pytest.fixture
def rows(call):
    """Return the objects that a command prints as JSON."""

    def run(*args):
        code, out, err = call(main, *args, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return run


def test_classes__need_no_library():
    command = [sys.executable, "-c", CALL, *CLASSES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("\n[]\n")


def test_encoders__are_those_of_the_libraries_and_cached(rows):
    import timm

    table = {row["name"]: row for row in rows("encoders") if row["library"] == "timm"}
    assert list(table) == timm.list_models()
    assert table["vit_small_patch14_dinov2"] == {
        "name": "vit_small_patch14_dinov2", "library": "timm", "image": 518, "weights": ["lvd142m"],
    }  # fmt: skip
    assert table["test_maxvit"]["weights"] == []
    pretrained = {
        f"{row['name']}.{tag}"
        for row in rows("encoders", "--pretrained")
        if row["library"] == "timm"
        for tag in row["weights"]
    }
    assert pretrained == set(timm.list_pretrained())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CALL, "encoders"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.endswith("\n[]\n")
    assert [(row["name"], row["library"], row["weights"]) for row in rows("encoders", "mit_b*")] == [
        (f"mit_b{size}", "smp", ["imagenet"]) for size in range(6)
    ]


def test_encoders__cost(rows):
    row, of_smp = rows("encoders", "[r]esnet18", "--measure")
    # of the paper: 11.7 million with the classifier's 0.513, 1.8 billion multiplications and additions
    assert row["M"] == pytest.approx(11.689512 - 0.513)
    assert row["GFLOPs"] == pytest.approx(2 * 1.814, rel=0.01)
    assert (row["strides"], row["at"]) == ([2, 4, 8, 16, 32], 224)
    assert (of_smp["library"], of_smp["M"], of_smp["strides"]) == ("smp", row["M"], row["strides"])


def test_heads__cost_on_an_encoder(rows):
    table = {row["name"]: row for row in rows("heads", "--measure", "--encoder", "resnet18")}
    assert table.keys() == HEADS.keys()
    levels = Levels((64, 128, 256, 512), (4, 8, 16, 32))
    for name, row in table.items():
        head = build_head(name, 21, levels, None)
        assert row["M"] == sum(parameter.numel() for parameter in head.parameters()) / 1e6
    # 21 classes, and all channels of each level
    pixels = [56 * 56, 28 * 28, 14 * 14, 7 * 7]
    operations = sum(2 * 21 * channels * count for channels, count in zip(levels.channels, pixels, strict=True))
    assert table["linear"]["GFLOPs"] == pytest.approx(operations / 1e9)


def test_nets__cost(rows):
    (row,) = rows("nets", "FCN", "--measure")
    assert row["M"] == sum(parameter.numel() for parameter in FCN(21).parameters()) / 1e6


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
