"""The numbers that a run has logged, as its folder keeps them: read without torch."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from lightseg.files import replacing


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run folder's `metrics.jsonl`; what a kill left of a last one is left out."""
    *lines, _ = (folder / "metrics.jsonl").read_text().split("\n")
    return [json.loads(line) for line in lines]


def write_csv(folder: Path) -> None:
    """Write `metrics.csv`: one row per line of `metrics.jsonl`, one column per name."""
    rows = read_log(folder)
    names = ["step", "epoch", *sorted({name for row in rows for name in row} - {"step", "epoch"})]
    with replacing(folder / "metrics.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def plain_number(value: Any) -> float | int | None:
    """A number as JSON has it: what is not finite is null."""
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
