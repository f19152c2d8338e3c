"""Table of an evaluation on the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightseg.evaluation.record import Record
from lightseg.files.printable import printable
from lightseg.metrics.absent_classes import RULE, absent, describe_absent
from lightseg.metrics.formatting import percent
from lightseg.metrics.object_recall import SIZES
from lightseg.metrics.scores import METRICS
from lightseg.runs.diff import format_value
from lightseg.runs.fingerprint import abbreviate

_OVERALL = {name: f"{metric.name} %" for metrics in METRICS.values() for name, metric in metrics.items()} | {
    "exact_match": "exact match %",
    "average_precision": "average precision %",
    "roc_auc": "area under ROC %",
    "boundary_iou": "boundary IoU %",
}

_CLASS = {
    "iou": "IoU %",
    "f1": "F1 %",
    "precision": "precision %",
    "recall": "recall %",
    "average_precision": "average precision %",
    "roc_auc": "area under ROC %",
    "boundary_iou": "boundary IoU %",
    "ece": "ECE %",
    "ece_calibrated": "calibrated ECE %",
}


def show(record: Record, console: Console | None = None) -> None:
    """Print an evaluation: overall, by class, by size, calibration, protocol, data and checkpoint.

    Args:
        record: The evaluation.
        console: The console; standard output if None.
    """
    console = console or Console(highlight=False)
    numbers, facts = record.numbers, record.facts
    console.print(_overall(numbers, facts))
    absences = absent(record.scored.evaluation.dense[:, 1].sum(0), record.scored.evaluation.classes)
    console.print(_classes(numbers, record.scored.evaluation.classes, absences))
    if absences:
        console.print(RULE)
    if "recall_small" in numbers:
        console.print("small, medium, large: recall in % of pixels of regions below 32², below 96², and larger")
    console.print(Text(f"protocol: {facts['protocol']}"))
    data = f"{facts['samples']:,} samples of {facts['split']}, {facts['dataset']}, sha256 {abbreviate(facts['data'])}"
    options = "".join(f", {key}: {format_value(value)}" for key, value in facts["data_options"].items())
    console.print(Text(f"data: {data}{printable(options)}"))
    console.print(Text(f"checkpoint: {facts['checkpoint']}, {facts['precision']} on {facts['device']}"))


def _overall(numbers: Mapping[str, float], facts: Mapping[str, Any]) -> Table:
    table = _table("", facts["split"])
    for name, label in _OVERALL.items():
        if name in numbers:
            table.add_row(label, percent(numbers[name], 2))
    for suffix, label in (("", ""), ("_calibrated", f" at temperature {facts['temperature']:.3g}")):
        if f"ece{suffix}" in numbers:
            table.add_row(f"calibration error (ECE) %{label}", percent(numbers[f"ece{suffix}"], 2))
            table.add_row(f"negative log-likelihood{label}", f"{numbers[f'nll{suffix}']:.4f}")
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _classes(numbers: Mapping[str, float], classes: Sequence[str], absences: Sequence[str]) -> Table:
    columns = {name: label for name, label in _CLASS.items() if f"{name}/{classes[0]}" in numbers}
    columns |= {f"recall_{size}": size for size in SIZES if f"recall_{size}" in numbers}
    table = _table("", *columns.values())
    for name in classes:
        first, *others = (numbers[f"{column}/{name}"] for column in columns)
        first_cell = describe_absent(first) if name in absences else _cell(first)
        table.add_row(Text(name), first_cell, *map(_cell, others))
    return table


def _cell(value: float) -> str:
    return "" if math.isnan(value) else percent(value)
