"""Comparison on the terminal."""

import math
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lightseg.comparison.results import Comparison, Group, Pair
from lightseg.comparison.text import class_percent, interval, of_classes, percent, reading, verdicts

_CLASS_COLUMNS = 5
"""So many groups fit beside each other in 80 characters; more are told in further tables."""


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Print a comparison: the groups, what differs, the verdicts, the classes, and how to read it.

    Args:
        comparison: What to print.
        console: Where to; standard output if left out, without colours where that is no terminal.
    """
    console = console or Console(highlight=False)
    console.print(_groups(comparison))
    for line in _differs(comparison):
        console.print(line)
    for verdict, classes in zip(verdicts(comparison), of_classes(comparison), strict=True):
        console.print(Text(verdict))
        console.print(Padding(Text(f"by {comparison.class_metric}: {classes}"), (0, 0, 0, 2)))
    console.print()
    for start in range(0, len(comparison.groups), _CLASS_COLUMNS):
        console.print(_classes(comparison, range(start, min(start + _CLASS_COLUMNS, len(comparison.groups)))))
    for line in [*reading(comparison), *[f"note: {note}" for note in comparison.notes]]:
        console.print(Text(line))


def _groups(comparison: Comparison) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold", min_width=10)
    table.add_column("n", justify="right")
    table.add_column(f"{comparison.metric} %", justify="right")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    sizes = comparison.inputs_differ
    for name in ("M", "GFLOPs", *["input"] * sizes, "img/s", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for index, group in enumerate(comparison.groups):
        best = index == comparison.best and len(comparison.groups) > 1
        cells = [
            f"{'★ ' if best else ''}{group.label}",
            str(len(group.trials)),
            percent(group.score.value) + ("" if math.isnan(group.deviation) else f" ± {percent(group.deviation)}"),
            interval(group.score),
            _cost(group.cost["parameters"], 1e-6),
            _cost(group.cost["gflops"], 1),
            *[group.input_size] * sizes,
            _number(group.images_per_s),
            _duration(group.seconds),
        ]
        table.add_row(*map(Text, cells), style="bold" if best else None)
    return table


def _cost(cost: float | None, factor: float) -> str:
    """Return what a net costs; nothing where the runs of a group differ."""
    return "" if cost is None else f"{factor * cost:.2f}"


def _differs(comparison: Comparison) -> Iterator[Text | str]:
    """Yield what differs, where the labels do not say all of it."""
    if all(each in group.label for group in comparison.groups for each in _told(group)):
        return
    for group in comparison.groups:
        yield Text(f"{group.label}: {', '.join(_told(group))}")
    yield ""


def _told(group: Group) -> list[str]:
    return [f"{key} {value}" for key, value in group.differs.items()]


def _classes(comparison: Comparison, columns: range) -> Table:
    """Return the score of each class; what differs from the reference is marked."""
    reference = comparison.best if comparison.baseline is None else comparison.baseline
    marked = {pair.second if pair.first == reference else pair.first: pair for pair in _with(comparison, reference)}
    absences = comparison.absent
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    if marked:
        table.caption = Text(f"★ best, ≠ difference shown to {comparison.groups[reference].label}")
        table.caption_justify = "left"
    table.add_column(f"{comparison.class_metric} %", overflow="fold")
    for column in columns:
        table.add_column(Text(comparison.groups[column].label), justify="right", overflow="fold")
    for index, name in enumerate(comparison.classes):
        scores = [group.classes[index].value for group in comparison.groups]
        defined = [score for score in scores if not math.isnan(score) and name not in absences]
        best = max(defined, default=math.nan)
        row = [Text(name)]
        for column in columns:
            differs = column in marked and marked[column].classes[index].shown
            stars = "★ " * (len(scores) > 1 and scores[column] == best) + "≠ " * differs
            score = class_percent(comparison, index, scores[column])
            row.append(Text(stars + score, style="bold" if stars.startswith("★") else ""))
        table.add_row(*row)
    return table


def _with(comparison: Comparison, reference: int) -> list[Pair]:
    return [pair for pair in comparison.pairs if reference in (pair.first, pair.second)]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _duration(seconds: float) -> str:
    """Return a time as one reads it: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
