"""Values that the reader of checkpoints refuses are refused before the run folder exists."""

import pytest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.std", "[0,0,0]"], "model.std.0: must be greater than 0, got 0"),
        (["--trainer.max_steps", "9" * 26], "trainer.max_steps: holds a number of 87 bits"),
        (["--save_every_n_steps", "1" + "0" * 26], "save_every_n_steps: holds a number of 87 bits"),
        (
            ["--data.eval_transforms", "[{class_path: albumentations.Resize, init_args: {height: 16400, width: 32}}]"],
            "data.eval_transforms.0: height is a number up to 16384",
        ),
    ],
)
def test_check_run__refuses_what_no_checkpoint_can_hold(fit, recipe, tmp_path, options, message):
    outcome = fit("--config", recipe(), *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert not list(tmp_path.glob("runs/*/*"))
