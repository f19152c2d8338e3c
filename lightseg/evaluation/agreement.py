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
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.fingerprint import differ

_LAST_BITS = 0.01
"""Difference of a score that other kernels and another precision may make."""


def compare(subject: TrainedModel, scored: Scored, how: dict[str, Any]) -> str | None:
    """Return a sentence on how the scores agree with `metrics.json` of the run; None where it has none of the kind.

    Args:
        subject: What was scored.
        scored: The scoring.
        how: `precision`, `device` and `images_per_pass`, on which the last bits depend.

    Raises:
        RunError: If they differ by more than `TOLERANCE`, though everything else is the same; or by more than other
            machines and precisions explain.
    """
    recorded, now = subject.recorded("metrics.json"), scored.evaluation
    before = PerImageResults.read(subject.run, now.split) if subject.run and subject.is_scored and recorded else None
    if before is None or not _same(before, now):
        return None
    differences = {
        f"{now.split}/{name}": _difference(recorded.get(f"{now.split}/{name}"), value)
        for name, value in scored.scores.items()
    }
    worst = max(differences, key=lambda name: differences[name])
    if differences[worst] <= TOLERANCE:
        return "as in metrics.json"
    then, value = recorded.get(worst), scored.scores[worst.partition("/")[2]]
    message = f"{worst} is {value:.6f}, but {'undefined' if then is None else f'{then:.6f}'} in metrics.json"
    here = {**_machine(), **how}
    others = [name for name, was in _conditions(subject).items() if was not in (None, here[name])]
    if others and differences[worst] <= _LAST_BITS:
        return f"{message}; {', '.join(others)} differ, and with them the last bits"
    raise RunError(
        f"{message} of the run, with the same checkpoint, data and protocol: its numbers cannot be trusted. "
        "Has its code or its data changed since, or the checkpoint?"
    )


def _same(before: PerImageResults, now: PerImageResults) -> bool:
    """Return whether two scorings are of the same images in the same way."""
    is_alike = (before.protocol, list(before.images)) == (now.protocol, list(now.images))
    return is_alike and not differ(before.data, now.data)


def _difference(then: float | None, now: float) -> float:
    if then is None or math.isnan(now):
        # what is undefined is so in both
        return 0.0 if then is None and math.isnan(now) else math.inf
    return abs(then - now)


def _machine() -> dict[str, Any]:
    return {"machine": platform.platform(), "torch": metadata.version("torch")}


def _conditions(subject: TrainedModel) -> dict[str, Any]:
    """Return what the last bits of the run's own numbers depended on; None where that is not known."""
    environment, trainer = subject.recorded("env.json"), subject.config["trainer"]
    batch_size = (subject.config["data"].get("init_args") or {}).get("batch_size")
    gpus = environment.get("gpus") if trainer["accelerator"] != "cpu" else None
    return {
        "machine": environment.get("platform"),
        "torch": environment.get("packages", {}).get("torch"),
        "precision": trainer["precision"] or "32-true",
        "device": gpus[0] if gpus else "cpu",
        "images_per_pass": batch_size and subject.images_per_pass(batch_size),
    }
