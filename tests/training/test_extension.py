"""Longer trainings of finished runs, on the command line."""

import hashlib
import json
import shutil

import pytest
import torch

import lightseg
from lightseg import diff, export
from lightseg.comparison.groups import group
from lightseg.runs.read import read
from tests.helpers.processes import DDP, wait_for_run
from tests.helpers.refusal import assert_refused
from tests.helpers.stateful_run import assert_same_run, hash_training_state, read_logged_values

CONSTANT = ["--model.schedule", "Constant"]
"""Schedule that does not depend on the length of the training."""


def newest(folder, *others):
    """The run folder beside some others."""
    return next(path for path in folder.parent.iterdir() if path not in (folder, *others))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(["--trainer.max_epochs", "1"], ["--trainer.max_epochs", "2"], marks=pytest.mark.slow),
        # within an epoch of five steps
        (["--trainer.max_epochs", "null", "--trainer.max_steps", "7"], ["--trainer.max_steps", "10"]),
    ],
    ids=["epochs", "steps"],
)
def test_extend__gives_what_one_long_training_gives(fit, crashing_recipe, before, after):
    first = fit("--config", crashing_recipe, *CONSTANT, *before)
    longer = fit("--extend", first.folder, *after)
    assert longer.code == 0, longer.err
    whole = fit("--config", crashing_recipe, *CONSTANT, *before, *after)
    step = first.metrics["train/steps"]
    expected = [line for line in read_logged_values(whole.folder) if line["step"] >= step]
    assert read_logged_values(longer.folder) == expected != []
    assert hash_training_state(longer.folder) == hash_training_state(whole.folder)
    assert longer.metrics["train/steps"] == whole.metrics["train/steps"] == 10
    assert longer.metrics["train/seconds"] > first.metrics["train/seconds"]


def learning_rates(outcome):
    rates = [{key: value for key, value in line.items() if key.startswith("lr")} for line in outcome.log]
    return {line["step"]: rate for line, rate in zip(outcome.log, rates, strict=True) if rate}


@pytest.mark.slow
def test_extend__the_schedule_is_that_of_the_longer_training(fit, crashing_recipe):
    first = fit("--config", crashing_recipe, "--trainer.max_epochs", "1")
    longer = fit("--extend", first.folder, "--trainer.max_epochs", "3")
    whole = fit("--config", crashing_recipe, "--trainer.max_epochs", "3")
    expected = {step: rate for step, rate in learning_rates(whole).items() if step >= 5}
    assert learning_rates(longer) == expected
    assert len(expected) == 10
    assert (
        f"extend: goes on after epoch 1, step 5, of {first.folder.parent.name}/{first.folder.name} with its optimizer; "
        "OneCycle is that of 3 epochs, of which 1 are done"
    ) in longer.out


@pytest.fixture
def first(trained, tmp_path):
    """A copy of it among the runs of a test."""
    return shutil.copytree(trained, tmp_path / "runs/recipe" / trained.name)


@pytest.mark.slow
def test_extend__lineage(fit, first, call, tmp_path):
    longer = fit("--extend", first, "--trainer.max_epochs", "2").folder
    last = first / "checkpoints/last.ckpt"
    record = {
        "run": f"recipe/{first.name}",
        "file": "last.ckpt",
        "sha256": hashlib.sha256(last.read_bytes()).hexdigest(),
        "score": pytest.approx(json.loads((first / "metrics.json").read_text())["val/score"]),
        "classes": lightseg.load(first).classes,
        "epoch": 1,
        "step": 3,
    }
    assert json.loads((longer / "model.json").read_text())["extend"] == record
    assert read(longer).config["extend"] == str(first)
    assert lightseg.load(longer).recipe["lineage"] == {"extend": record}
    _, out, _ = call(diff.main, first, longer)
    assert "extend: null -> after epoch 1, step 3" in out
    assert call(export.main, longer, "--format", "safetensors", "--out", tmp_path / "export")[0] == 0
    card = (tmp_path / "export/README.md").read_text()
    assert (
        f"goes on with that of recipe/{first.name} (`last.ckpt`, sha256 `{record['sha256']}`), after epoch 1, step 3"
        in card
    )
    assert str(tmp_path) not in card
    # an exported file has it, too
    assert lightseg.load(tmp_path / "export").recipe["lineage"] == {"extend": record}


@pytest.mark.slow
def test_extend__keeps_the_lineage_of_initial_weights_in_a_chain(fit, recipe, first):
    started = fit("--config", recipe(), "--model.init", first, "--trainer.max_epochs", "1").folder
    longer = fit("--extend", started, "--trainer.max_epochs", "2").folder
    longest = fit("--extend", longer, "--trainer.max_epochs", "3")
    assert longest.metrics["train/steps"] == 9
    lineage = lightseg.load(longest.folder).recipe["lineage"]
    assert lineage["init"]["run"] == f"recipe/{first.name}"
    assert (lineage["extend"]["run"], lineage["extend"]["epoch"]) == (f"tiny/{longer.name}", 2)


@pytest.mark.slow
def test_extend__of_two_seeds_is_one_group(fit, recipe):
    runs = [fit("--config", recipe(), "--trainer.max_epochs", "1", "--seed_everything", seed).folder for seed in "01"]
    longer = [fit("--extend", run, "--trainer.max_epochs", "2").folder for run in runs]
    groups = group(read(folder) for folder in [*runs, *longer])
    assert sorted([run.folder for run in alike] for alike in groups) == sorted([runs, longer])


@pytest.fixture
def crash_later(monkeypatch, fit):
    """Train longer, and crash where the test says."""

    def run(folder, moment):
        monkeypatch.setenv("CRASH", moment)
        outcome = fit("--extend", folder, "--trainer.max_epochs", "3", "--save_every_n_steps", "2")
        monkeypatch.delenv("CRASH")
        return outcome

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", [pytest.param("on_before_backward:1", marks=pytest.mark.slow), "on_train_batch_end:4"]
)
def test_extend__a_crash_is_resumed(fit, crashing_recipe, crash_later, moment):
    origin = fit("--config", crashing_recipe, "--trainer.max_epochs", "1").folder
    reference, crashed = crash_later(origin, "never:1"), crash_later(origin, moment)
    assert (reference.code, crashed.code) == (0, 1)
    folder = newest(origin, reference.folder)
    resumed = fit("--resume", folder)
    assert resumed.code == 0, resumed.err
    assert_same_run(folder, reference.folder)
    content = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    assert content["lightseg"]["lineage"]["extend"]["epoch"] == 1


@pytest.mark.slow
def test_extend__a_resume_before_the_first_state_needs_the_same_state(fit, crashing_recipe, crash_later):
    origin = fit("--config", crashing_recipe, "--trainer.max_epochs", "1").folder
    assert crash_later(origin, "on_before_backward:1").code == 1
    folder = newest(origin)
    shutil.copy(origin / "checkpoints/best.ckpt", origin / "checkpoints/last.ckpt")
    assert_refused(fit("--resume", folder), f"--extend {origin}: its last state is not what this run started from")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trainer.max_epochs", "1"], ["has trained 1 epochs (3 steps), and this training ends there; give more"]),
        (["--trainer.max_epochs", "2", "--trainer.max_steps", "3"], ["(3 steps)", "such as --trainer.max_steps 6"]),
        (["--trainer.max_epochs", "2", "--seeds", "0,1"], ["--extend: trains one run longer; leave out --seeds"]),
        (["--trainer.max_epochs", "2", "--resume", "runs"], ["--extend: trains one run longer; leave out --resume"]),
    ],
)
def test_extend__refused(fit, first, options, words):
    assert_refused(fit("--extend", first, *options), *words)
    assert list(first.parent.iterdir()) == [first]


def test_extend__a_time_that_is_over_is_refused(fit, recipe):
    first = fit("--config", recipe(), "--trainer.max_epochs", "1000", "--trainer.max_time", "00:00:00:01").folder
    assert_refused(
        fit("--extend", first, "--trainer.max_epochs", "2000"),
        f"--extend {first}: has trained ",
        " s, and trainer.max_time ends this training there; give more of it",
    )
    assert list(first.parent.iterdir()) == [first]


def test_extend__another_recipe_is_refused(fit, first):
    outcome = fit("--extend", first, "--trainer.max_epochs", "2", "--model.optimizer", "SGD", "--data.batch_size", "2")
    assert outcome.code == 2
    assert f"--extend {first}: goes on with the recipe of the run, and this is another one:" in outcome.err
    assert "data.batch_size: 4 -> 2" in outcome.err
    assert "model.optimizer" in outcome.err
    assert f"--model.init {first}" in outcome.err
    assert list(first.parent.iterdir()) == [first]


def test_extend__a_run_that_is_no_run_or_has_not_ended_is_refused(fit, first, tmp_path):
    assert_refused(fit("--extend", tmp_path), f"--extend {tmp_path}: no run folder")
    (first / "checkpoints/last.ckpt").rename(tmp_path / "away.ckpt")
    assert_refused(fit("--extend", first, "--trainer.max_epochs", "2"), "last.ckpt is missing, the state to go on from")
    (first / "metrics.json").unlink()
    assert_refused(
        fit("--extend", first, "--trainer.max_epochs", "2"), f"not finished; go on with it by --resume {first}"
    )


def test_extend__other_data_is_refused(fit, first):
    record = json.loads((first / "data.json").read_text())
    record["val"]["sha256"] = "0" * 64
    (first / "data.json").write_text(json.dumps(record))
    assert_refused(
        fit("--extend", first, "--trainer.max_epochs", "2"), f"--extend {first}: the val split is not what it was"
    )
    assert list(first.parent.iterdir()) == [first]


def test_resume__of_a_finished_run_with_more_epochs_names_extend(fit, first):
    outcome = fit("--resume", first, "--trainer.max_epochs", "2")
    assert_refused(outcome, "this run is finished; to train longer", f"--extend {first}", "trainer.max_epochs: 1 -> 2")


@pytest.mark.slow
def test_extend__after_an_early_stop(fit, recipe):
    stop = "[{class_path: EarlyStopping, init_args: {monitor: val/score, mode: max, patience: 1, min_delta: 2.0}}]"
    stopped = fit("--config", recipe(), "--trainer.max_epochs", "4", "--trainer.callbacks", stop)
    assert stopped.metrics["train/steps"] == 6
    longer = fit("--extend", stopped.folder, "--trainer.max_epochs", "9")
    assert longer.code == 0, longer.err
    # its patience is that of a new training: a first score, and one that is no better
    assert longer.metrics["train/steps"] == 12
    assert "of which 2 are done; early stopping starts anew" in longer.out
    state = torch.load(longer.folder / "checkpoints/best.ckpt", weights_only=True)
    assert state["global_step"] > 6


@pytest.mark.slow
def test_extend__on_two_processes(fit, crashing_recipe, launch):
    first = fit("--config", crashing_recipe, *CONSTANT, "--trainer.max_epochs", "1").folder
    longer = wait_for_run(launch("--extend", first, "--trainer.max_epochs", "2", *DDP))
    whole = wait_for_run(launch("--config", crashing_recipe, *CONSTANT, "--trainer.max_epochs", "2", *DDP))
    assert [line["step"] for line in read_logged_values(longer)] == [
        line["step"] for line in read_logged_values(whole) if line["step"] >= 5
    ]
