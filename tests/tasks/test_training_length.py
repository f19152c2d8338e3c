"""Shares of a training that its length leaves without effect."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model.class_weights", "[3, 3, 3, 3, 3, 3]"],
            "model.class_weights: [3.0, 3.0, 3.0, 3.0, 3.0, 3.0] are all equal",
        ),
        # 2 epochs of 3 batches
        (["--model.class_weights", "inverse", "--model.class_weights_from", "0.9"], "of 6 steps is after the last one"),
        (["--model.class_weights", "inverse", "--model.class_weights_from", "0.84"], "give 0.83 or less"),
        (
            ["--model.class_weights", "inverse", "--model.class_weights_from", "0.6", "--trainer.max_steps", "2"],
            "model.class_weights_from: 0.6 of 2 steps",
        ),
    ],
)
def test_class_weights__without_effect_are_refused(fit, recipe, tmp_path, arguments, message):
    outcome = fit("--config", recipe(), *arguments)
    assert outcome.code == 2
    assert message in outcome.err.splitlines()[-1]
    assert not list((tmp_path / "runs").glob("*/*"))


def test_frozen_encoder__until_after_the_last_step_is_refused(fit, recipe):
    net = ["--model.net", "{class_path: FCN, init_args: {width: 4}}"]
    outcome = fit("--config", recipe(), *net, "--model.freeze_encoder", "0.9")
    assert outcome.code == 2
    assert "model.freeze_encoder: 0.9 of 6 steps is after the last one" in outcome.err
    assert "give 0.83 or less, or 1 to freeze it throughout" in outcome.err


def test_class_weights__of_the_last_step(fit, recipe):
    outcome = fit("--config", recipe(), "--model.class_weights", "inverse", "--model.class_weights_from", "0.83")
    assert outcome.code == 0, outcome.err
