"""Logged metrics of a run folder, read and written without torch."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from lightseg.errors import UserError
from lightseg.files.atomic import atomic_write
from lightseg.files.limited import read_limited, require_inside
from lightseg.files.printable import printable

LOG_BYTES = 2**29
"""Limit of the size of `metrics.jsonl` in bytes."""


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of `metrics.jsonl` of a run folder, without an incomplete last line that a kill left.

    Raises:
        UserError: If the file is missing, or a line is not a mapping of names to numbers.
    """
    path = folder / "metrics.jsonl"
    require_inside(path)
    try:
        *lines, _ = read_limited(path, LOG_BYTES).split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); bring it back, or leave this run out") from None
    return [_parse_line(text, f"{path} line {number}") for number, text in enumerate(lines, 1)]


def _parse_line(text: str, place: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: is damaged ({error}); bring it back, or leave this run out") from None
    if not isinstance(line, dict) or "step" not in line:
        raise UserError(f"{place}: is damaged (it is no mapping with a step); bring it back, or leave this run out")
    for name, value in line.items():
        is_integer = name in ("step", "epoch")
        if isinstance(value, bool) or not isinstance(value, int | None if is_integer else int | float | None):
            kind = "a whole number" if is_integer else "a number"
            raise UserError(f"{place}: is damaged ({printable(name)}: is not {kind}); bring it back")
    return {printable(name): plain_number(value) if value is not None else None for name, value in line.items()}


def write_csv(folder: Path) -> None:
    """Write `metrics.csv`: a row for each line of `metrics.jsonl`, a column for each name."""
    rows = read_log(folder)
    names = ["step", "epoch", *sorted({name for row in rows for name in row} - {"step", "epoch"})]
    with atomic_write(folder / "metrics.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def plain_number(value: Any) -> float | int | None:
    """Return a number as JSON can hold it: an integer where it is one, and None where it is not finite."""
    try:
        number = float(value)
    except OverflowError:
        # an integer beyond the range of float64
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
