"""Conversion of the lines of a run's log to rows of its views, one per optimizer step."""

import math
from collections.abc import Mapping
from typing import Any, Literal

STEP = "trainer/global_step"
BEST = "best_val_score"


class RowMerger:
    """Merges lines of `metrics.jsonl` into one row per step; a row is complete at the first line of a later step.

    A line without a step, or with an earlier one, is added to the newest step, since W&B accepts only increasing steps.

    Attributes:
        best_step: The step of the best validation score so far; None before the first.
    """

    def __init__(self) -> None:
        self._row: dict[str, Any] = {}
        self._best = -math.inf
        self.best_step: int | None = None

    def add(self, line: Mapping[str, Any]) -> dict[str, Any] | None:
        """Add a line; return the row that it completes, if any."""
        newest = self._row.get(STEP)
        step = max(line["step"] or 0, newest or 0)
        completed = None
        if newest is None or step > newest:
            completed, self._row = self.newest(), {STEP: step}
        # null is a value that was not finite, which is no point of a curve
        self._row |= {name: value for name, value in line.items() if name != "step" and value is not None}
        if "val/score" in self._row:
            if self._row["val/score"] > self._best:
                self._best, self.best_step = self._row["val/score"], step
            self._row[BEST] = self._best
        return completed

    def newest(self) -> dict[str, Any] | None:
        """Return the row of the newest step, which may be incomplete."""
        return self._row or None


def summary_of(name: str) -> Literal["max", "min"] | None:
    """Return the summary of a curve: the best value for repeated scores and losses, which gets the name `NAME.max`.

    Other curves have their last value under their name; None.
    """
    if name.endswith("/loss") and not name.startswith("test/"):
        return "min"
    return "max" if name.startswith("val/") else None
