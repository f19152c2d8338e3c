"""Agreement of a scoring with the numbers that the run itself has recorded."""

from __future__ import annotations

import math
import platform
from importlib import metadata
from typing import Any

from lightseg.errors import RunError
from lightseg.evaluation.counts import TOLERANCE
from lightseg.evaluation.scoring import Scored
from lightseg.evaluation.trained_model import TrainedModel
from lightseg.hardware.precision_names import canonical_precision
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.fingerprint import differ

_LAST_BITS = 0.01
"""Largest difference of a score that other kernels and another precision explain."""


def compare(model: TrainedModel, scored: Scored, conditions: dict[str, Any]) -> str | None:
    """Return a sentence on the agreement of scores with `metrics.json` of the run; None if it has no such scores.

    Args:
        model: The scored model.
        scored: The scoring.
        conditions: `precision`, `device` and `images_per_pass`, on which the last bits depend.

    Raises:
        RunError: If they differ by more than `TOLERANCE` under the same conditions, or by more than other machines and
            precisions explain.
    """
    recorded, results = model.recorded("metrics.json"), scored.evaluation
    previous = PerImageResults.read(model.run, results.split) if model.run and model.is_scored and recorded else None
    if previous is None or not _is_comparable(previous, results):
        return None
    differences = {
        f"{results.split}/{name}": _difference(recorded.get(f"{results.split}/{name}"), value)
        for name, value in scored.scores.items()
    }
    worst = max(differences, key=lambda name: differences[name])
    if differences[worst] <= TOLERANCE:
        return "as in metrics.json"
    expected, value = recorded.get(worst), scored.scores[worst.partition("/")[2]]
    message = f"{worst} is {value:.6f}, but {'undefined' if expected is None else f'{expected:.6f}'} in metrics.json"
    current = {**_machine(), **conditions}
    changes = [name for name, value in _recorded_conditions(model).items() if value not in (None, current[name])]
    if changes and differences[worst] <= _LAST_BITS:
        return f"{message}; {', '.join(changes)} differ, and with them the last bits"
    raise RunError(
        f"{message} of the run, with the same checkpoint, data and protocol: its numbers cannot be trusted. "
        "Has its code or its data changed since, or the checkpoint?"
    )


def _is_comparable(previous: PerImageResults, current: PerImageResults) -> bool:
    """Return whether two scorings have the same images, data and protocol."""
    is_same = (previous.protocol, list(previous.images)) == (current.protocol, list(current.images))
    return is_same and not differ(previous.data, current.data)


def _difference(recorded: float | None, value: float) -> float:
    if recorded is None or math.isnan(value):
        # an undefined score agrees with an undefined score only
        return 0.0 if recorded is None and math.isnan(value) else math.inf
    return abs(recorded - value)


def _machine() -> dict[str, Any]:
    return {"machine": platform.platform(), "torch": metadata.version("torch")}


def _recorded_conditions(model: TrainedModel) -> dict[str, Any]:
    """Return the recorded conditions on which the last bits of the run's numbers depend; None for unknown ones."""
    environment, trainer = model.recorded("env.json"), model.config["trainer"]
    batch_size = (model.config["data"].get("init_args") or {}).get("batch_size")
    gpus = environment.get("gpus") if trainer["accelerator"] != "cpu" else None
    return {
        "machine": environment.get("platform"),
        "torch": environment.get("packages", {}).get("torch"),
        "precision": canonical_precision(trainer["precision"]),
        "device": gpus[0] if gpus else "cpu",
        "images_per_pass": batch_size and model.images_per_pass(batch_size),
    }
