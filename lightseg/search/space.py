"""Search space: the distribution of each key, and the options of `fit` for a point of it."""

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lightseg.cli.argv import require_printable
from lightseg.config.compose import SECTIONS, show
from lightseg.config.option_names import plain_key, suggest_option
from lightseg.errors import ConfigError, did_you_mean, require

_BUDGET = (
    *("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "overfit_batches", "fast_dev_run"),
    *("limit_train_batches", "limit_val_batches", "limit_test_batches"),
    *("accelerator", "devices", "num_nodes"),
)
"""Options of the trainer that are equal in all trials."""

_RANGE = ("low", "high", "log", "step")

_MOST_STEPS = 10**9
"""Limit of the values of a range with steps."""

Point = Mapping[str, Any]
"""Value of each key."""


class Space(NamedTuple):
    """Distribution of each key of a search space."""

    distributions: dict[str, BaseDistribution]

    def corners(self) -> list[dict[str, str]]:
        """Return the options of a first point, and of each point that differs from it by another choice or end."""
        ends = {key: _ends(distribution) for key, distribution in self.distributions.items()}
        first = {key: values[0] for key, values in ends.items()}
        others = [{**first, key: value} for key, values in ends.items() for value in values[1:]]
        return [as_options(point) for point in (first, *others)]


def make_space(axes: Mapping[str, Any], path: Path) -> Space:
    """Return the search space of `study.yaml`.

    Args:
        axes: A list of values, or a mapping with the ends of a range, for each key.
        path: The file, for messages.

    Raises:
        ConfigError: If a key cannot be searched, or its values are none.
    """
    distributions = {}
    for key, axis in axes.items():
        place = f"{show(path)}: space.{key}"
        _require_key(key, place)
        distributions[key] = _make_choices(axis, place) if isinstance(axis, list) else _make_range(axis, place)
    plain = [plain_key(key) for key in axes]
    repeated = [key for key in axes if plain.count(plain_key(key)) > 1]
    require(not repeated, f"{show(path)}: space: {' and '.join(repeated)} are one key; give it once")
    return Space(distributions)


def as_options(point: Point) -> dict[str, str]:
    """Return a point as texts that `fit` takes."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in point.items()}


def describe(point: Point) -> str:
    """Return a point as text: `lr 0.00125, encoder resnet18`."""
    return ", ".join(
        f"{key.rpartition('.')[2]} {format(value, '.3g') if isinstance(value, float) else value}"
        for key, value in point.items()
    )


def _require_key(key: str, place: str) -> None:
    section, _, name = plain_key(key).partition(".")
    require(
        section in SECTIONS and bool(name),
        f"{place}: no key of model, data or trainer{suggest_option(key)}",
    )
    require(
        section != "trainer" or name not in _BUDGET,
        f"{place}: all trials have the same budget and devices; set it in the recipe, or as --{key}",
    )
    require(
        plain_key(key) not in ("data.fold", "data.folds"),
        f"{place}: all trials are scored on the same images; set it in the recipe, or as --{key}",
    )


def _make_choices(values: list[Any], place: str) -> BaseDistribution:
    try:
        texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    except TypeError:
        # YAML has more types than a recipe, such as dates
        raise ConfigError(f"{place}: a value of {values!s:.60} is of no type that a recipe has; quote it") from None
    require_printable(texts)
    require(
        len(texts) > 1 and len(set(texts)) == len(texts),
        f"{place}: give two different values or more; a single one belongs into the recipe",
    )
    return CategoricalDistribution(texts)


def _make_range(axis: Any, place: str) -> BaseDistribution:
    if not isinstance(axis, dict):
        raise ConfigError(f"{place}: give a list of values, or {{low: …, high: …}}, got {axis!r:.60}")
    for name in axis:
        require(name in _RANGE, f"{place}: no option '{name}'{did_you_mean(str(name), _RANGE, len(_RANGE))}")
    require({"low", "high"} <= axis.keys(), f"{place}: give low and high")
    numbers = {name: _to_number(axis[name], f"{place}.{name}") for name in ("low", "high", "step") if name in axis}
    log = axis.get("log", False)
    require(isinstance(log, bool), f"{place}.log: must be true or false, got {log!r:.60}")
    low, high, step = numbers["low"], numbers["high"], numbers.get("step")
    require(low < high, f"{place}: low must be < high, got {low} and {high}")
    require(high - low <= sys.float_info.max, f"{place}: high - low must be < 1.8e308")
    require(not (log and low <= 0), f"{place}: low must be > 0 with log, got {low}")
    require(not (log and step is not None), f"{place}: give log or step, not both")
    require(step is None or step > 0, f"{place}.step: must be > 0, got {step}")
    require(step is None or step <= high - low, f"{place}.step: must be <= high - low, got {step}")
    require(step is None or (high - low) / step <= _MOST_STEPS, f"{place}.step: gives more than {_MOST_STEPS:,} values")
    if all(isinstance(number, int) for number in numbers.values()):
        return IntDistribution(int(low), _last(low, high, step), log, int(step or 1))
    return FloatDistribution(low, _last(low, high, step) if step else high, log, step)


def _last(low: float, high: float, step: float | None) -> Any:
    """Return the greatest value of a range with steps, which Optuna expects as its end."""
    if step is None:
        return high
    if all(isinstance(number, int) for number in (low, high, step)):
        return low + (high - low) // step * step
    # in decimals, as they are written: 3 * 0.3 is less than 0.9
    first, last, width = (Decimal(str(number)) for number in (low, high, step))
    return float(first + (last - first) // width * width)


def _to_number(value: Any, place: str) -> int | float:
    if isinstance(value, str):
        # YAML takes 1e-4 for text
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ConfigError(f"{place}: must be a number")
    return value


def _ends(distribution: BaseDistribution) -> list[Any]:
    """Return the choices, or both ends of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]
