"""`fit --find`: the search in a process of its own, and the run that takes its value."""

import json

import pytest
import torch
import yaml

from lightseg.errors import UserError
from lightseg.training.find import Finding, as_options, describe, read_findings, write_findings
from tests.helpers.stateful_run import assert_same_run

FINDINGS = {
    "batch_size": Finding(value=48, reason="all training images fit the memory at once"),
    "lr": Finding(value=3.2e-3, reason="where the loss falls fastest", curve=[(1e-3, 2.0), (1e-2, 1.0), (0.1, 9.0)]),
}


def learning_rate(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())["model"]["init_args"]["optimizer"]["init_args"]["lr"]


def test_findings__are_options_and_one_line():
    assert as_options(FINDINGS) == ["--data.batch_size=48", "--model.optimizer.lr=0.0032"]
    assert describe(FINDINGS) == (
        "found batch_size 48 (all training images fit the memory at once), lr 0.0032 (where the loss falls fastest)"
    )


def test_findings__are_read_as_they_were_written(tmp_path):
    write_findings(tmp_path, FINDINGS)
    assert read_findings(tmp_path / "find.json") == FINDINGS
    assert (tmp_path / "lr_find.png").stat().st_size > 5000
    (tmp_path / "find.json").write_text('{"lr": {"value": "fast", "reason": ""}}')
    with pytest.raises(UserError, match=r"find.json: is damaged \(lr.value"):
        read_findings(tmp_path / "find.json")


def test_earlier_findings__are_not_searched_again(fit, recipe, tmp_path, monkeypatch):
    write_findings(tmp_path, {"lr": FINDINGS["lr"]})
    monkeypatch.setenv("LIGHTSEG_FINDINGS", str(tmp_path / "find.json"))
    outcome = fit("--config", recipe(), "--find", "lr")
    assert outcome.code == 0, outcome.err
    assert "searching" not in outcome.out
    assert "found lr 0.0032 (where the loss falls fastest)\n" in outcome.out
    assert learning_rate(outcome.folder) == 3.2e-3
    assert json.loads((outcome.folder / "find.json").read_text())["lr"]["value"] == 3.2e-3


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_batch_size__is_not_searched_on_a_cpu(fit, recipe, tmp_path):
    outcome = fit("--config", recipe(), "--find", "batch_size")
    assert outcome.code == 2
    assert outcome.err.startswith("lightseg: error: --find batch_size: needs a GPU with CUDA, and the device is cpu")
    assert outcome.err.count("\n") == 1
    assert not list((tmp_path / "runs").glob("*/*"))


@pytest.mark.slow
def test_search__is_exact_and_not_repeated(fit, crashing_recipe, monkeypatch, tmp_path):
    # a job that its scheduler starts again
    monkeypatch.setenv("LIGHTSEG_JOB", "night")
    monkeypatch.setenv("CRASH", "on_train_batch_end:7")
    crashed = fit("--config", crashing_recipe, "--find", "lr")
    assert (crashed.code, "--find lr: searching …" in crashed.out) == (1, True)
    monkeypatch.delenv("CRASH")
    again = fit("--config", crashing_recipe, "--find", "lr")
    assert again.code == 0, again.err
    assert "searching" not in again.out
    assert "goes on after step" in again.out
    (folder,) = (tmp_path / "runs").glob("*/*")
    assert again.folder == folder
    rate = learning_rate(folder)
    assert 1e-4 < rate < 1
    monkeypatch.delenv("LIGHTSEG_JOB")
    # neither weights nor order depend on the search
    plain = fit("--config", crashing_recipe, "--model.optimizer.lr", rate)
    assert_same_run(folder, plain.folder)
    assert fit("--resume", folder).out.startswith("lightseg")


LOST_NET = """
import os, signal, sys
from torch import nn


class LostNet(nn.Conv2d):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__(in_channels, num_classes, 1)
        if sys.argv[0].endswith("find_process.py"):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_search__that_fails_is_one_line_and_leaves_no_folder(fit, recipe, own_module, tmp_path):
    own_module("lost_net", LOST_NET)
    text = (
        "base: [configs/data/shapes.yaml]\nmodel: {class_path: SegmentationTask, init_args: {net: lost_net.LostNet}}\n"
    )
    outcome = fit("--config", recipe(text), "--find", "lr", "--trainer.accelerator", "cpu")
    assert (outcome.code, outcome.err) == (2, "lightseg: error: --find lr: SIGKILL has ended it\n")
    assert not list((tmp_path / "runs").glob("*/*"))


@pytest.mark.slow
def test_processes_and_series__share_one_value(launch, recipe, tmp_path):
    options = ["--find", "lr", "--seeds", "0,1", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    process = launch("--config", recipe(), *options)
    assert process.wait() == 0
    folders = sorted(file.parent for file in (tmp_path / "runs").glob("*/*/metrics.json"))
    assert len(folders) == 2
    assert learning_rate(folders[0]) == learning_rate(folders[1])
    (series,) = (tmp_path / "runs").glob("*/series-*")
    assert ["searching" in (series / f"0{index}.txt").read_text() for index in (0, 1)] == [True, False]
