"""Errors for users, and the ends of their messages."""

import signal

import pytest

from lightseg.errors import ConfigError, DataError, RunError, StoppedError, closest, did_you_mean, require


def test_exit_codes__of_bad_input_failed_runs_and_signals():
    assert (ConfigError.exit_code, DataError.exit_code, RunError.exit_code) == (2, 2, 1)
    stopped = StoppedError(signal.SIGTERM, "runs/x")
    assert (stopped.exit_code, str(stopped)) == (143, "go on with: python -m lightseg.fit --resume runs/x")
    assert str(StoppedError(signal.SIGINT, None)) == "stopped"


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [("unett", ["UNet", "FCN"], "UNet"), ("xyz", ["UNet", "FCN"], None), ("unet", [], None)],
)
def test_closest__whatever_the_case(word, choices, expected):
    assert closest(word, choices) == expected


@pytest.mark.parametrize(
    ("word", "otherwise", "expected"),
    [
        ("Fcm", 0, "; did you mean FCN?"),
        ("xyz", 0, ""),
        ("xyz", 3, "; there are UNet, FCN, SmpNet"),
        ("xyz", 2, "; there are UNet, FCN, …"),
    ],
)
def test_did_you_mean__the_nearest_name_or_a_list(word, otherwise, expected):
    assert did_you_mean(word, iter(["UNet", "FCN", "SmpNet"]), otherwise) == expected


def test_did_you_mean__without_choices_is_empty():
    assert did_you_mean("x", [], 3) == ""


def test_require__raises_the_message():
    require(True, "never")
    with pytest.raises(ConfigError, match="^key: wrong$"):
        require(False, "key: wrong")
