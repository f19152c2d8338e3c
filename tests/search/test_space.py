"""Search spaces: distributions, their corners, and the message about each mistake."""

from datetime import date
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lightseg.errors import ConfigError
from lightseg.search.space import as_options, describe, make_space

LR, WIDTH, ENCODER = "model.optimizer.lr", "model.net.width", "model.net.encoder"


def test_space__distribution_of_each_form():
    axes = {
        # YAML takes a number without a point for text
        LR: {"low": "1e-4", "high": "1e-2", "log": True},
        WIDTH: {"low": 8, "high": 33, "step": 8},
        "model.net.dropout": {"low": 0, "high": 0.55, "step": 0.1},
        # in floats, 3 * 0.3 is less than 0.9
        "model.optimizer.weight_decay": {"low": 0, "high": 1, "step": 0.3},
        "model.steps": {"low": 10**30, "high": 10**30 + 5, "step": 2},
        ENCODER: ["resnet18", "resnet34"],
        "model.class_weights": [None, "balanced", [1.0, 2.0]],
    }
    assert make_space(axes, Path("study.yaml")).distributions == {
        LR: FloatDistribution(1e-4, 1e-2, log=True),
        WIDTH: IntDistribution(8, 32, step=8),
        "model.net.dropout": FloatDistribution(0, 0.5, step=0.1),
        "model.optimizer.weight_decay": FloatDistribution(0, 0.9, step=0.3),
        "model.steps": IntDistribution(10**30, 10**30 + 4, step=2),
        ENCODER: CategoricalDistribution(["resnet18", "resnet34"]),
        "model.class_weights": CategoricalDistribution(["null", "balanced", "[1.0, 2.0]"]),
    }


def test_corners__each_choice_and_end_once():
    axes = {LR: {"low": 0.001, "high": 0.01}, ENCODER: ["a", "b", "c"]}
    assert make_space(axes, Path("study.yaml")).corners() == [
        {LR: "0.001", ENCODER: "a"},
        {LR: "0.01", ENCODER: "a"},
        {LR: "0.001", ENCODER: "b"},
        {LR: "0.001", ENCODER: "c"},
    ]


def test_options__have_all_digits_and_labels_three():
    point = {LR: 0.0012520653814999472, WIDTH: 8, ENCODER: "resnet18"}
    assert as_options(point) == {LR: "0.0012520653814999472", WIDTH: "8", ENCODER: "resnet18"}
    assert describe(point) == "lr 0.00125, width 8, encoder resnet18"


@pytest.mark.parametrize(
    ("key", "axis", "message"),
    [
        ("lr", [1, 2], "no key of model, data or trainer; did you mean --model.optimizer.lr?"),
        ("model", [1, 2], "no key of model, data or trainer"),
        ("seed_everything", [1, 2], "no key of model, data or trainer"),
        ("trainer.max_epochs", [1, 2], "all trials have the same budget and devices"),
        ("data.init_args.fold", [0, 1], "all trials are scored on the same images"),
        (LR, 3, "give a list of values, or {low: …, high: …}, got 3"),
        (LR, [1], "give two different values or more"),
        (LR, [date(2026, 1, 2), 1], "a value of [datetime.date(2026, 1, 2), 1] is of no type that a recipe has"),
        (LR, ["1", 1], "give two different values or more"),
        (LR, {"lo": 1, "high": 2}, "no option 'lo'; did you mean low?"),
        (LR, {"low": 1}, "give low and high"),
        (LR, {"low": "a", "high": 2}, "model.optimizer.lr.low: must be a number"),
        (LR, {"low": True, "high": 2}, "model.optimizer.lr.low: must be a number"),
        (LR, {"low": 1, "high": float("inf")}, "model.optimizer.lr.high: must be a number"),
        (LR, {"low": 2, "high": 2}, "low must be < high, got 2 and 2"),
        (LR, {"low": 0, "high": 2, "log": True}, "low must be > 0 with log, got 0"),
        (LR, {"low": 0, "high": 2, "log": 1}, "model.optimizer.lr.log: must be true or false, got 1"),
        (LR, {"low": 1, "high": 2, "log": True, "step": 1}, "give log or step, not both"),
        (LR, {"low": 1, "high": 2, "step": 0}, "model.optimizer.lr.step: must be > 0, got 0"),
        (LR, {"low": 1, "high": 2, "step": 3}, "model.optimizer.lr.step: must be <= high - low, got 3"),
        (LR, {"low": 0, "high": 1, "step": 5e-324}, "model.optimizer.lr.step: gives more than 1,000,000,000 values"),
        (LR, {"low": -1e308, "high": 1e308}, "model.optimizer.lr: high - low must be < 1.8e308"),
        (LR, {"low": 0, "high": 10**400}, "model.optimizer.lr.high: must be a number"),
        (LR, [b"x", 2], "is of no type that a recipe has; quote it"),
    ],
)
def test_space__mistake(key, axis, message):
    with pytest.raises(ConfigError) as caught:
        make_space({key: axis}, Path("study.yaml"))
    assert str(caught.value).startswith(f"study.yaml: space.{key}")
    assert message in str(caught.value)


def test_space__one_key_in_both_forms():
    with pytest.raises(ConfigError, match="are one key; give it once"):
        make_space({WIDTH: [4, 8], "model.init_args.net.width": [4, 8]}, Path("study.yaml"))
