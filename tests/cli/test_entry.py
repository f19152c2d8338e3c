"""Arguments of a verb: misspelt options and choices get a suggestion, and folders of runs the newest run."""

import sys

import cv2
import numpy as np
import pytest
import torch

from lightseg import diff, evaluate, explain, export
from lightseg.cli.entry import guarded, open_streams


@pytest.mark.parametrize(
    ("verb", "arguments", "message"),
    [
        (evaluate, ["run", "--splitt", "val"], "unrecognized arguments: --splitt val; did you mean --split?"),
        (evaluate, ["run", "--splitt=val"], "did you mean --split?"),
        (evaluate, ["run", "--split", "vall"], "did you mean val?"),
        (export, ["run", "--format", "onx"], "did you mean onnx?"),
        (
            export,
            ["run", "--zzz", "1"],
            "unrecognized arguments: --zzz 1; `python -m lightseg.export --help` tells more",
        ),
    ],
)
def test_arguments__misspelt(verb, arguments, message, capsys):
    assert verb.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", [evaluate, explain, export, diff])
@pytest.mark.parametrize("folder", ["runs", "runs/unet"])
def test_run__a_folder_of_runs_names_the_newest(verb, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("fcn/20260101T000000-aaaa", "unet/20260102T000000-bbbb", "unet/20260101T000000-cccc"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").touch()
    assert verb.main([folder] * (2 if verb is diff else 1)) == 2
    assert "did you mean runs/unet/20260102T000000-bbbb?" in capsys.readouterr().err


def test_open_streams__leaves_open_ones_alone(capsys):
    before = sys.stdout, sys.stderr
    open_streams()
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: np.empty(2**60, np.uint8),
        lambda: torch.empty(2**60, dtype=torch.uint8),
        lambda: cv2.resize(np.zeros((9, 9, 3), np.uint8), (2**26, 2**24)),
    ],
    ids=["numpy", "torch", "opencv"],
)
def test_guarded__memory_that_does_not_suffice_is_one_line(allocate, capsys):
    assert guarded(allocate) == 2
    err = capsys.readouterr().err
    assert err.startswith("lightseg: error: there is not enough memory; lower data.batch_size")
    assert len(err.splitlines()) == 1
