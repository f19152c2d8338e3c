"""Terminal output of a comparison."""

import math
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lightseg.comparison.results import Comparison, GroupPair
from lightseg.comparison.text import (
    class_verdicts,
    fold_scores,
    fold_spread,
    interval,
    labels_have_options,
    list_options,
    reading,
    verdicts,
)
from lightseg.files.printable import format_duration
from lightseg.metrics.formatting import percent

_CLASS_COLUMNS, _NARROW_CLASS_COLUMNS = 5, 8
"""Groups in one table of classes, called by labels or by ranks, so that it fits 80 characters."""


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Print a comparison: groups, differing options, verdicts, classes, and an explanation of the numbers.

    Args:
        comparison: Comparison.
        console: Console; None for standard output, without colors if it is not a terminal.
    """
    console = console or Console(highlight=False)
    console.print(_make_group_table(comparison))
    if any(len(group.folds) > 1 for group in comparison.groups):
        console.print(_make_fold_table(comparison))
    for line in _describe_options(comparison):
        console.print(line)
    for verdict, classes in zip(verdicts(comparison), class_verdicts(comparison), strict=True):
        console.print(Text(verdict))
        console.print(Padding(Text(f"by {comparison.class_metric}: {classes}"), (0, 0, 0, 2)))
    console.print()
    has_ranks = comparison.short_names != [group.label for group in comparison.groups]
    step = _NARROW_CLASS_COLUMNS if has_ranks else _CLASS_COLUMNS
    for start in range(0, len(comparison.groups), step):
        console.print(_make_class_table(comparison, range(start, min(start + step, len(comparison.groups)))))
    for line in [*reading(comparison), *[f"note: {note}" for note in comparison.notes]]:
        console.print(Text(line))


def _make_group_table(comparison: Comparison) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold", min_width=10)
    table.add_column("n", justify="right")
    for name in (f"{comparison.metric} %", "95 % interval", "M", "GFLOPs", "img/s", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for index, group in enumerate(comparison.groups):
        is_best = index == comparison.best and len(comparison.groups) > 1
        cells = [
            f"{'★ ' if is_best else ''}{comparison.names[index]}",
            str(len(group.trials)),
            percent(group.score.value) + ("" if math.isnan(group.deviation) else f" ± {percent(group.deviation)}"),
            interval(group.score),
            _format_cost(group.cost["parameters"], 1e-6),
            _format_cost(group.cost["gflops"], 1),
            _format_throughput(group.images_per_s),
            format_duration(group.seconds),
        ]
        table.add_row(*map(Text, cells), style="bold" if is_best else None)
    return table


def _make_fold_table(comparison: Comparison) -> Table:
    """Return the table of mean, standard deviation and range of the scores of the folds, as papers give them."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold", min_width=10)
    for name in ("folds", f"{comparison.metric} % of folds", "lowest to highest"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, group in zip(comparison.names, comparison.groups, strict=True):
        if len(group.folds) > 1:
            table.add_row(*map(Text, (name, str(len(group.folds)), fold_scores(group), fold_spread(group))))
    return table


def _format_cost(cost: float | None, factor: float) -> str:
    """Return a cost of the net as text; empty where the runs of a group differ."""
    return "" if cost is None else f"{factor * cost:.2f}"


def _describe_options(comparison: Comparison) -> Iterator[Text | str]:
    """Yield what differs of each group, options and the input of the GFLOPs, unless the labels include all of it."""
    has_sizes = comparison.inputs_differ
    if not has_sizes and labels_have_options(comparison):
        return
    for name, group in zip(comparison.short_names, comparison.groups, strict=True):
        size = [f"input {group.input_size}"] if has_sizes and group.input_size else []
        if options := [*list_options(group), *size]:
            yield Text(f"{name}: {', '.join(options)}")
    yield ""


def _make_class_table(comparison: Comparison, columns: range) -> Table:
    """Return the table of class scores of some groups; significant differences to the reference are marked.

    Classes that are absent from the truth are left out.

    Args:
        comparison: Comparison.
        columns: Indices of the groups.
    """
    reference = comparison.best if comparison.baseline is None else comparison.baseline
    pairs = {
        pair.second if pair.first == reference else pair.first: pair for pair in _pairs_with(comparison, reference)
    }
    absent = comparison.absent
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    if pairs:
        table.caption = Text(f"★ best, ≠ difference shown to {comparison.short_names[reference]}")
        table.caption_justify = "left"
    table.add_column(f"{comparison.class_metric} %", overflow="fold")
    for column in columns:
        table.add_column(Text(comparison.short_names[column]), justify="right", overflow="fold")
    for index, name in enumerate(comparison.classes):
        if name in absent:
            continue
        scores = [group.classes[index].value for group in comparison.groups]
        row = [Text(name)]
        for column in columns:
            differs = column in pairs and pairs[column].classes[index].shown
            marks = "★ " * (scores[column] == max(scores) > min(scores)) + "≠ " * differs
            row.append(Text(marks + percent(scores[column]), style="bold" if marks.startswith("★") else ""))
        table.add_row(*row)
    return table


def _pairs_with(comparison: Comparison, reference: int) -> list[GroupPair]:
    return [pair for pair in comparison.pairs if reference in (pair.first, pair.second)]


def _format_throughput(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.0f}" if value >= 10 else f"{value:.1f}"
