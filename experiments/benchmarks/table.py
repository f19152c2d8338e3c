"""Rows of the benchmark table, measured in pairs, in turn, so that a machine that drifts drifts for both."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turns import within


@dataclass
class Row:
    """A comparison.

    Attributes:
        name: Of the measurement, with sizes and precision.
        unit: Of both measurements, such as `images/s` or `s`.
        ours: Of lightseg, one for each repetition.
        against: Name of what lightseg is compared with; empty for a measurement that stands alone.
        theirs: Of the latter, measured in turn with ours.
        target: The ratio, or without a comparison the value, to be reached; None for no promise.
        less_is_better: Whether the unit is a cost, such as seconds.
        note: Why it was not measured, or what else there is to know.
        has_failed: Whether the measurement failed.
    """

    name: str
    unit: str = ""
    ours: Sequence[float] = ()
    against: str = ""
    theirs: Sequence[float] = ()
    target: float | None = None
    less_is_better: bool = False
    note: str = ""
    has_failed: bool = False
    ratios: list[float] = field(init=False)

    def __post_init__(self) -> None:
        pairs = zip(self.ours, self.theirs, strict=bool(self.theirs))
        self.ratios = [theirs / ours if self.less_is_better else ours / theirs for ours, theirs in pairs]

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the target; None where there is none, or nothing was measured."""
        if self.target is None or not self.ours:
            return None
        if self.ratios:
            return statistics.median(self.ratios) >= self.target
        value = statistics.median(self.ours)
        return value <= self.target if self.less_is_better else value >= self.target


def in_turn(
    ours: Callable[[], float], theirs: Callable[[], float] | None, pairs: int, seconds: float
) -> tuple[list[float], list[float]]:
    """Measure one or two things in turn; the first pair warms up and does not count.

    Args:
        ours: Measures lightseg.
        theirs: Measures what it is compared with, if anything.
        pairs: Repetitions that count, fewer where the next would exceed `seconds`, but one at least.
        seconds: Time for everything.
    """
    start = time.monotonic()
    measure = lambda: (ours(), theirs() if theirs else None)  # noqa: E731
    measure()
    first, second = zip(*within(seconds, start, pairs, measure), strict=True)
    return list(first), list(second) if theirs else []


def markdown(rows: Iterable[Row]) -> str:
    """Return the table."""
    lines = ["| what | against | unit | lightseg | the other | ratio, median (min to max) | n | target |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        ours, theirs = (_number(statistics.median(part)) if part else "" for part in (row.ours, row.theirs))
        name = f"{row.name} ({row.note})" if row.note else row.name
        count = str(len(row.ours)) if row.ours else ""
        cells = [name, row.against, row.unit, ours, theirs, _spread(row.ratios), count, _target(row)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def write(path: Path, text: str, name: str = "benchmarks") -> None:
    """Put a text between the marks `<!-- NAME … -->` and `<!-- end of NAME -->` of a page.

    Raises:
        ValueError: If the page has no such marks.
    """
    page = path.read_text()
    begin, end = page.find(f"<!-- {name}: "), page.find(f"<!-- end of {name} -->")
    if not 0 <= begin < end:
        raise ValueError(f"{path}: has no `<!-- {name}: … -->` before `<!-- end of {name} -->`")
    mark = page[begin : page.index("-->", begin)]
    path.write_text(f"{page[:begin]}{mark}-->\n\n{text.strip()}\n\n{page[end:]}")


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    sign = "≥" if row.against or not row.less_is_better else "≤"
    remark = " **missed**" if row.is_met is False else ""
    return f"{sign} {row.target:.3g}{remark}"
