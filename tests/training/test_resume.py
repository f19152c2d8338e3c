"""Resumed trainings give what uninterrupted ones give."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile

import pytest
import torch

from lightseg.errors import UserError
from lightseg.files.atomic import locked
from lightseg.training.resume import best_score, find_changes, newest_checkpoint, restore_best
from tests.helpers.stateful_run import DROPOUT_NET, assert_same_run, read_logged_values

REFERENCES = {}


@pytest.fixture
def reference_run(fit, crashing_recipe):
    """The folder of a run that nothing happened to, with some options; made once."""

    def run(*options):
        if options not in REFERENCES:
            outcome = fit("--config", crashing_recipe, *options)
            assert outcome.code == 0
            REFERENCES[options] = outcome.folder
        return REFERENCES[options]

    return run


MOMENTS = [
    *("on_train_batch_start:7", "on_before_optimizer_step:11", "on_train_epoch_start:3", "on_validation_end:2"),
    *("on_train_batch_end:5", "on_train_end:1", "write:1", "on_before_backward:1"),
]
FURTHER_MOMENTS = [
    *("on_before_backward:9", "on_train_batch_end:13", "on_validation_batch_start:2", "on_train_epoch_end:2"),
    *("on_train_batch_start:6", "write:4"),
]


@pytest.mark.parametrize("moment", [*MOMENTS, *(pytest.param(one, marks=pytest.mark.slow) for one in FURTHER_MOMENTS)])
def test_resume__gives_what_the_whole_run_gives(fit, crashing_recipe, reference_run, monkeypatch, moment):
    reference = reference_run()
    monkeypatch.setenv("CRASH", moment)
    crashed = fit("--config", crashing_recipe)
    assert crashed.code == 1
    monkeypatch.delenv("CRASH")
    resumed = fit("--resume", crashed.folder)
    assert resumed.code == 0, resumed.err
    assert resumed.folder == crashed.folder
    assert_same_run(resumed.folder, reference)


@pytest.mark.parametrize(
    ("workers", "options"),
    [
        pytest.param(1, ["--trainer.precision", "bf16-mixed"], marks=pytest.mark.bf16),
        (2, ["--trainer.accumulate_grad_batches", "2"]),
        (1, ["--trainer.val_check_interval", "0.4"]),
        (2, ["--trainer.max_epochs", "null", "--trainer.max_steps", "17"]),
        (1, ["--trainer.check_val_every_n_epoch", "2"]),
    ],
    ids=str,
)
@pytest.mark.slow
def test_resume__with_other_options_too(fit, crashing_recipe, reference_run, monkeypatch, options, workers):
    options = [*options, "--data.num_workers", str(workers)]
    reference = reference_run(*options)
    monkeypatch.setenv("CRASH", "on_train_batch_end:12")
    crashed = fit("--config", crashing_recipe, *options)
    monkeypatch.delenv("CRASH")
    assert fit("--config", crashing_recipe, *options, "--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, reference)


def test_resume__after_an_early_stop_is_not_trained_further(fit, crashing_recipe, monkeypatch):
    stop = "[{class_path: EarlyStopping, init_args: {monitor: val/score, mode: max, patience: 1, min_delta: 2.0}}]"
    options = ["--config", crashing_recipe, "--trainer.callbacks", stop.replace("[", "[{class_path: crash.Crash}, ")]
    reference = fit(*options)
    assert reference.metrics["train/steps"] < 20
    monkeypatch.setattr("lightseg.training.run.report", lambda *_: (_ for _ in ()).throw(UserError("no report")))
    crashed = fit(*options)
    assert crashed.code == 2
    monkeypatch.undo()
    monkeypatch.setenv("CRASH", "on_train_batch_start:1")
    assert fit("--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, reference.folder)


@pytest.fixture
def crashed(fit, crashing_recipe, monkeypatch):
    """A run that crashed after it had written two states."""
    monkeypatch.setenv("CRASH", "on_train_batch_end:7")
    folder = fit("--config", crashing_recipe).folder
    monkeypatch.delenv("CRASH")
    return folder


def test_resume__a_damaged_last_checkpoint_is_passed_over(fit, reference_run, crashed):
    last = crashed / "checkpoints/last.ckpt"
    with zipfile.ZipFile(last) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(last.read_bytes())
    # past the header of 30 bytes and the name; in between are paddings, which nobody misses
    content[largest.header_offset + 30 + len(largest.filename) + 64 + largest.file_size // 2] ^= 1
    last.write_bytes(content)
    outcome = fit("--resume", crashed)
    assert outcome.code == 0
    assert "last.ckpt: damaged" in outcome.out
    assert "going on from previous.ckpt" in outcome.out
    assert_same_run(crashed, reference_run())


def test_newest_checkpoint__none_that_is_whole(crashed):
    for name in ("last.ckpt", "previous.ckpt"):
        (crashed / "checkpoints" / name).write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"(?s)last\.ckpt.*previous\.ckpt"):
        newest_checkpoint(crashed)


def test_resume__another_recipe_is_refused_and_nothing_is_changed(fit, crashed):
    before = {path: path.read_bytes() for path in crashed.rglob("*") if path.is_file()}
    outcome = fit("--resume", crashed, "--data.batch_size", "2", "--trainer.max_epochs", "9")
    assert outcome.code == 2
    assert "data.batch_size: 4 -> 2" in outcome.err
    assert "trainer.max_epochs: 4 -> 9" in outcome.err
    assert {path: path.read_bytes() for path in crashed.rglob("*") if path.is_file()} == before


def test_resume__other_data_is_refused(fit, crashed):
    data = json.loads((crashed / "data.json").read_text())
    data["train"]["sha256"] = "another"
    (crashed / "data.json").write_text(json.dumps(data))
    outcome = fit("--resume", crashed)
    assert outcome.code == 2
    assert "the train split is not what it was" in outcome.err


def test_resume__another_machine_is_said(fit, crashed):
    environment = json.loads((crashed / "env.json").read_text())
    environment["packages"]["torch"] = "2.0"
    (crashed / "env.json").write_text(json.dumps(environment))
    outcome = fit("--resume", crashed, "--data.num_workers", "1")
    assert outcome.code == 0
    assert "goes on with another data.num_workers: 0 -> 1" in outcome.out
    assert "goes on with another torch: 2.0 -> " in outcome.out


def test_resume__other_threads_and_kernels_are_said_and_recorded(fit, crashed):
    path = crashed / "env.json"
    record = json.loads(path.read_text())
    kernels = {name: record[name] for name in ("torch_threads", "cpu_capability", "onednn_max_cpu_isa")}
    assert kernels["torch_threads"] == torch.get_num_threads()
    assert kernels["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    path.write_text(json.dumps({**record, "torch_threads": 7, "cpu_capability": "VSX"}))
    outcome = fit("--resume", crashed)
    for change in (
        f"torch_threads: 7 -> {kernels['torch_threads']}",
        f"cpu_capability: VSX -> {kernels['cpu_capability']}",
    ):
        assert f"goes on with another {change}; the numbers may differ in their last digits\n" in outcome.out
    assert "onednn_max_cpu_isa:" not in outcome.out
    (line,) = (crashed / "resumes.jsonl").read_text().splitlines()
    assert kernels.items() <= json.loads(line).items()


def test_resume__kernels_that_an_older_version_did_not_record_are_not_compared(fit, crashed):
    path = crashed / "env.json"
    record = json.loads(path.read_text())
    for name in ("torch_threads", "cpu_capability", "onednn_max_cpu_isa"):
        del record[name]
    path.write_text(json.dumps(record))
    outcome = fit("--resume", crashed)
    assert outcome.code == 0
    assert "goes on with another" not in outcome.out


@pytest.mark.slow
def test_resume__in_more_batches_per_step(fit, reference_run, crashed):
    # no batch of this size has other statistics in a net without BatchNorm; here only the order is looked at
    outcome = fit("--resume", crashed, "--trainer.accumulate_grad_batches", "2")
    assert outcome.code == 0
    assert [line["step"] for line in read_logged_values(crashed)] == [
        line["step"] for line in read_logged_values(reference_run())
    ]
    assert outcome.metrics["train/steps"] == 20


def test_resume__a_folder_that_was_moved(fit, reference_run, crashed):
    moved = crashed.parent.parent / "elsewhere" / "run"
    shutil.move(crashed, moved)
    assert fit("--resume", moved).code == 0
    assert_same_run(moved, reference_run())


@pytest.mark.slow
def test_resume__final_numbers_that_are_damaged_are_said_and_made_again(fit, recipe):
    folder = fit("--config", recipe()).folder
    content = (folder / "metrics.json").read_text()
    (folder / "metrics.json").write_text(content[:20])
    outcome = fit("--resume", folder)
    assert outcome.code == 2
    assert "metrics.json: is damaged; delete it" in outcome.err
    (folder / "metrics.json").unlink()
    assert fit("--resume", folder).code == 0
    again, before = json.loads((folder / "metrics.json").read_text()), json.loads(content)
    assert {**again, "train/seconds": 0} == {**before, "train/seconds": 0}


def test_resume__final_numbers_in_a_pipe_are_refused(fit, recipe):
    folder = fit("--config", recipe()).folder
    (folder / "metrics.json").unlink()
    os.mkfifo(folder / "metrics.json")
    outcome = fit("--resume", folder)
    assert outcome.code == 2
    assert "metrics.json: is not a regular file" in outcome.err


@pytest.mark.parametrize("option", ["root", "table", "download"])
def test_find_changes__the_place_of_the_data_may_change(tmp_path, option):
    (tmp_path / "config.yaml").write_text(f"data: {{class_path: a.B, init_args: {{{option}: old, classes: [a]}}}}")
    changed = {"data": {"class_path": "a.B", "init_args": {option: "new", "classes": ["b"]}}}
    assert find_changes(tmp_path, changed) == (["data.classes: [a] -> [b]"], [f"data.{option}: old -> new"])


def test_resume__a_finished_run_stays_as_it_is(fit, recipe):
    folder = fit("--config", recipe()).folder
    before = (folder / "metrics.json").stat().st_mtime_ns
    outcome = fit("--resume", folder)
    assert outcome.code == 0
    assert "is finished" in outcome.out
    assert outcome.folder == folder
    assert (folder / "metrics.json").stat().st_mtime_ns == before
    longer = fit("--resume", folder, "--trainer.max_epochs", "9")
    assert longer.code == 2
    assert "trainer.max_epochs: 2 -> 9" in longer.err


def test_resume__no_run_folder(fit, tmp_path, crashed):
    for path, hint in (
        (tmp_path / "nothing", "there is no such file or folder"),
        (crashed.parent, f"did you mean {crashed}?"),
        (crashed / "checkpoints/last.ckpt", f"did you mean {crashed}?"),
    ):
        outcome = fit("--resume", path)
        assert outcome.code == 2
        assert "no run folder" in outcome.err
        assert hint in outcome.err
        assert len(outcome.err.strip().splitlines()) == 1


def test_resume__behind_the_runs_recipe_come_overlays(fit, crashing_recipe, crashed, reference_run, tmp_path):
    # its own recipe once more, and another
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("trainer: {precision: bf16-mixed}")
    outcome = fit("--resume", crashed, "--config", crashing_recipe, "--config", overlay)
    assert outcome.code == 2
    assert "trainer.precision: 32-true -> bf16-mixed" in outcome.err
    assert fit("--config", crashing_recipe, "--resume", crashed).code == 0
    assert_same_run(crashed, reference_run())


def test_resume__an_empty_checkpoint_is_passed_over(fit, reference_run, crashed):
    # as a machine leaves it that loses its power
    (crashed / "checkpoints/last.ckpt").write_bytes(b"")
    outcome = fit("--resume", crashed)
    assert outcome.code == 0
    assert "last.ckpt: damaged or not a checkpoint" in outcome.out
    assert_same_run(crashed, reference_run())


def test_resume__a_lost_log_is_said(fit, crashed):
    (crashed / "metrics.jsonl").unlink()
    assert "metrics.jsonl is not there: the log begins at step 6" in fit("--resume", crashed).err


def test_locked__a_run_that_is_being_trained(tmp_path):
    # a lock of this process does not keep this process out
    hold = "import time; from pathlib import Path; from lightseg.files.atomic import locked\n"
    hold += f"with locked(Path({str(tmp_path)!r})): print(flush=True); time.sleep(3000)"
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(UserError, match="another process is training in it"), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path):
        pass


def test_resume__finds_a_class_beside_the_recipe_again(fit, crashed, monkeypatch, tmp_path):
    for name in ("dropout_net", "crash"):
        sys.modules.pop(name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    assert fit("--resume", crashed).code == 0


# ---- a job that its scheduler starts again -------------------------------------------------------------------------


def test_slurm__a_job_that_is_started_again_goes_on_by_itself(fit, crashing_recipe, reference_run, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CRASH", "on_train_batch_end:7")
    crashed = fit("--config", crashing_recipe)
    monkeypatch.delenv("CRASH")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    restarted = fit("--config", crashing_recipe)
    assert restarted.folder == crashed.folder
    assert_same_run(restarted.folder, reference_run())
    # what comes after it in the same script is another run
    other = fit("--config", crashing_recipe, "--seed_everything", "1")
    assert other.folder != crashed.folder
    # and of what is finished there is nothing left to do
    assert "is finished" in fit("--config", crashing_recipe).out


def test_slurm__another_job_is_another_run(fit, crashing_recipe, crashed, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert fit("--config", crashing_recipe).folder != crashed


def test_slurm__a_run_of_another_job_that_is_damaged_is_passed_over(fit, recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for name, text in (("20200101T000000-0000", ""), ("20200101T000000-0001", "[]")):
        (tmp_path / "runs/tiny" / name).mkdir(parents=True)
        (tmp_path / "runs/tiny" / name / "env.json").write_text(text)
    assert fit("--config", recipe(), "--trainer.max_epochs", "1").code == 0


def test_slurm__usr1_asks_to_be_queued_again(fit, crashing_recipe, monkeypatch, tmp_path):
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(scontrol.parent), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CRASH", "on_train_batch_end:7")
    monkeypatch.setenv("CRASH_BY", "usr1")
    outcome = fit("--config", crashing_recipe)
    assert outcome.code == 128 + signal.SIGUSR1
    assert (tmp_path / "asked").read_text() == "requeue 7\n"


# ---- what Lightning keeps elsewhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, marks=[pytest.mark.slow] * (number > 0), id=options[0].partition(".")[2])
        for number, options in enumerate(
            [
                ("--trainer.limit_train_batches", "4", "--trainer.limit_val_batches", "1"),
                ("--trainer.reload_dataloaders_every_n_epochs", "1"),
                ("--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "7"),
                ("--model.freeze_encoder", "0.5", "--model.net", "FCN", "--model.net.encoder", "resnet10t"),
            ]
        )
    ],
)
def test_resume__whatever_the_trainer_was_asked_for(fit, crashing_recipe, reference_run, monkeypatch, options):
    reference = reference_run(*options)
    monkeypatch.setenv("CRASH", "on_before_backward:13")
    crashed = fit("--config", crashing_recipe, *options)
    monkeypatch.delenv("CRASH")
    assert fit("--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, reference)


def test_resume__within_an_epoch_that_is_overfitted_is_refused(fit, crashing_recipe, monkeypatch):
    monkeypatch.setenv("CRASH", "on_before_backward:6")
    crashed = fit("--config", crashing_recipe, "--trainer.overfit_batches", "3")
    monkeypatch.delenv("CRASH")
    outcome = fit("--resume", crashed.folder)
    assert outcome.code == 2
    assert "trainer.overfit_batches: such a run cannot go on within an epoch" in outcome.err


@pytest.mark.slow
def test_resume__an_early_stop_that_waits_for_the_least_number_of_steps(fit, crashing_recipe, monkeypatch):
    stop = "[{class_path: crash.Crash}, {class_path: EarlyStopping, init_args: {monitor: val/score, mode: max, "
    options = ["--trainer.callbacks", stop + "patience: 1, min_delta: 2.0}}]", "--trainer.min_steps", "13"]
    reference = fit("--config", crashing_recipe, *options)
    assert reference.metrics["train/steps"] == 13
    monkeypatch.setenv("CRASH", "on_before_backward:13")
    crashed = fit("--config", crashing_recipe, *options)
    monkeypatch.delenv("CRASH")
    assert fit("--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, reference.folder)


def test_resume__another_best_that_was_never_known_of_is_put_back(fit, crashed, crashing_recipe, monkeypatch):
    best = crashed / "checkpoints/best.ckpt"
    best_bytes = best.read_bytes()
    # as a validation leaves it that came after the last saved state: one more best, and the known one beside it
    content = torch.load(best, weights_only=True)
    content["callbacks"]["Best"]["best_model_score"] += 1
    torch.save(content, best)
    best.with_name("previous_best.ckpt").write_bytes(best_bytes)
    restore_best(crashed, best_score(torch.load(crashed / "checkpoints/last.ckpt", weights_only=True)))
    assert best.read_bytes() == best_bytes


def test_save__what_could_not_be_loaded_is_said_at_once(fit, recipe, own_module):
    own_module("foreign", FOREIGN)
    outcome = fit("--config", recipe(), "--trainer.callbacks", "foreign.Foreign")
    assert outcome.code == 1
    assert "a checkpoint of this run could not be loaded: it holds more than tensors and plain data" in outcome.err


FOREIGN = """
import lightning as L, numpy as np

class Foreign(L.Callback):
    def state_dict(self):
        return {"share": np.float64(0.5)}
"""


@pytest.mark.slow
def test_log__of_a_skipped_step_is_the_same_after_a_kill(fit, crashing_recipe, own_module, monkeypatch):
    own_module("losing", DROPOUT_NET.replace("class DropoutNet", "import torch\n\n\nclass Losing") + LOST)
    options = ["--config", crashing_recipe, "--model.net", "losing.Losing"]
    reference = fit(*options)
    assert any("train/skipped_steps" in line for line in read_logged_values(reference.folder))
    monkeypatch.setenv("CRASH", "on_before_backward:14")
    crashed = fit(*options)
    monkeypatch.delenv("CRASH")
    assert fit("--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, reference.folder)


# at the 11th of 20 steps of the seed, told by the generator that the step seeds
LOST = """
    def forward(self, x):
        logits = super().forward(x)
        from lightseg.data.loading.samplers import mix
        lost = torch.initial_seed() == mix(0, 10, 0, 0, 3)
        return logits * float("nan") if lost and self.training else logits
"""
