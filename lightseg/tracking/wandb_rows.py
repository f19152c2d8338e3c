"""Lines of a run's log as W&B's rows: one for each optimiser step."""

import math
from collections.abc import Mapping
from typing import Any, Literal

STEP = "trainer/global_step"
BEST = "best_val_score"


class RowMerger:
    """Merges lines of `metrics.jsonl` into one row per step; a row is whole when a line of a later step comes.

    A line without a step, or with an earlier one, belongs to the newest step: W&B takes steps only in their order.

    Attributes:
        best_step: The step of the best validation score so far; None before the first.
    """

    def __init__(self) -> None:
        self._row: dict[str, Any] = {}
        self._best = -math.inf
        self.best_step: int | None = None

    def add(self, line: Mapping[str, Any]) -> dict[str, Any] | None:
        """Take a line; returns the row that is whole now, if one is."""
        newest = self._row.get(STEP)
        step = max(line["step"] or 0, newest or 0)
        whole = None
        if newest is None or step > newest:
            whole, self._row = self.newest(), {STEP: step}
        # a number that was not finite is null there, and no point of a curve
        self._row |= {name: value for name, value in line.items() if name != "step" and value is not None}
        if "val/score" in self._row:
            if self._row["val/score"] > self._best:
                self._best, self.best_step = self._row["val/score"], step
            self._row[BEST] = self._best
        return whole

    def newest(self) -> dict[str, Any] | None:
        """Return the row of the newest step, which may still grow."""
        return self._row or None


def summary_of(name: str) -> Literal["max", "min"] | None:
    """Return W&B's summary of a curve: the best of scores and losses that are measured again and again.

    What else there is keeps its last value, and so a column of its own name: a best one is called `NAME.max`.
    """
    if name.endswith("/loss") and not name.startswith("test/"):
        return "min"
    return "max" if name.startswith("val/") else None
