"""Schedulers of torch, on the command line."""

import pytest

from tests.helpers.refusal import assert_refused
from tests.helpers.stateful_run import assert_same_run

TORCH = "torch.optim.lr_scheduler"
# 4 epochs of 5 steps
PLATEAU = (
    f"{{class_path: {TORCH}.ReduceLROnPlateau, init_args: {{mode: max, factor: 0.5, patience: 0, threshold: 2.0}}}}"
)
STEP = f"{{class_path: {TORCH}.StepLR, init_args: {{step_size: 2, gamma: 0.5}}}}"


def rates_of(outcome, epochs=4):
    """The learning rate of each step, relative to the first, one list for each epoch."""
    rates = [row["lr-AdamW/rest"] for row in outcome.log if "lr-AdamW/rest" in row]
    rates = [rate / rates[0] for rate in rates]
    return [rates[start : start + 5] for start in range(0, 5 * epochs, 5)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # no epoch is better than the first by that much
        (PLATEAU, [[1.0] * 5, [1.0] * 5, [0.5] * 5, [0.25] * 5]),
        pytest.param(STEP, [[1.0] * 5, [1.0] * 5, [0.5] * 5, [0.5] * 5], marks=pytest.mark.slow),
    ],
    ids=["plateau", "step"],
)
def test_scheduler__per_epoch_is_resumed_exactly(fit, crashing_recipe, monkeypatch, schedule, expected):
    options = ["--config", crashing_recipe, "--model.schedule", schedule]
    reference = fit(*options)
    assert rates_of(reference) == expected
    # the state is that of step 6, within the second epoch
    monkeypatch.setenv("CRASH", "on_train_batch_end:7")
    crashed = fit(*options)
    monkeypatch.delenv("CRASH")
    assert fit("--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, reference.folder)


@pytest.mark.slow
def test_scheduler__per_step(fit, crashing_recipe):
    options = ["--model.schedule", STEP, "--model.schedule_interval", "step", "--trainer.max_epochs", 1]
    outcome = fit("--config", crashing_recipe, *options)
    assert rates_of(outcome, epochs=1) == [[1.0, 1.0, 0.5, 0.5, 0.25]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.schedule_interval", "epoch"], ["model.schedule_interval", "OneCycle gives each step"]),
        (
            ["--model.schedule", PLATEAU, "--model.schedule_interval", "step"],
            ["model.schedule_interval", "ReduceLROnPlateau follows the score of an epoch"],
        ),
        (
            ["--model.schedule", PLATEAU, "--trainer.val_check_interval", 0.4],
            ["trainer.val_check_interval", "ReduceLROnPlateau follows the validation at the end of an epoch"],
        ),
        (
            ["--model.schedule", PLATEAU.replace("0.5", "1.5")],
            ["model.schedule", "ReduceLROnPlateau(mode=max, factor=1.5", "Factor should be < 1.0"],
        ),
        (["--model.schedule", STEP.replace("2", "0")], ["model.schedule", "StepLR(step_size=0"]),
        (["--model.schedule", "torch.optim.SGD"], ["model.schedule", "torch.optim.SGD", f"{TORCH}.ReduceLROnPlateau"]),
        (["--model.schedule", f"{TORCH}.StepLR"], ["model.schedule", "StepLR is missing", "it needs step_size"]),
        (
            ["--model.schedule", "lightning.pytorch.cli.ReduceLROnPlateau", "--model.schedule.monitor", "val/loss"],
            ["model.schedule", f"take {TORCH}.ReduceLROnPlateau"],
        ),
    ],
)
def test_scheduler__refusals(fit, crashing_recipe, tmp_path, options, words):
    assert_refused(fit("--config", crashing_recipe, *options), *words)
    assert not list((tmp_path / "runs").glob("*/*"))


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            "OneCycleLR, init_args: {max_lr: 0.1, total_steps: 7}",
            ["OneCycleLR ends after 7 of the 20 steps of this training: ", "number of total steps is 7"],
        ),
        ("StepLR, init_args: {step_size: 9, gamma: -0.5}", ["StepLR makes the learning rate -0.005"]),
        ("ConstantLR, init_args: {factor: 0.0, total_iters: 99}", ["keeps the learning rate at 0 all the time"]),
    ],
)
def test_scheduler__is_tried_to_the_end_of_the_training(fit, crashing_recipe, tmp_path, schedule, words):
    schedule = f"{{class_path: {TORCH}.{schedule}}}"
    outcome = fit("--config", crashing_recipe, "--model.schedule", schedule, "--model.schedule_interval", "step")
    assert_refused(outcome, "model.schedule: ", *words)
    assert not list((tmp_path / "runs").glob("*/*"))


def test_scheduler__with_one_rate_for_all_groups_is_refused_beside_factors(fit, crashing_recipe):
    schedule = f"{{class_path: {TORCH}.OneCycleLR, init_args: {{max_lr: 0.1, total_steps: 20}}}}"
    options = ["--model.schedule", schedule, "--model.schedule_interval", "step", "--model.norm_bias_lr_factor", "4"]
    outcome = fit("--config", crashing_recipe, *options)
    assert_refused(outcome, "model.schedule: OneCycleLR sets one learning rate for all parameters")
