"""Output of a diagnosis as text and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightseg.diagnosis.brightness import rounded
from lightseg.diagnosis.diagnosis import Diagnosis
from lightseg.diagnosis.findings import SEVERITIES, Finding
from lightseg.files.atomic import write_atomically
from lightseg.files.printable import format_count, join_names, printable

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def show(diagnosis: Diagnosis, lines: Sequence[str] = ()) -> None:
    """Print the statistics, then the findings.

    Args:
        diagnosis: The diagnosis.
        lines: Further lines, printed before the findings.
    """
    console = Console(highlight=False)
    sizes = ", ".join(f"{split} {size:,}" for split, size in diagnosis.sizes.items())
    console.print(f"samples: {sizes or 'none'}")
    if diagnosis.brightness:
        measured = diagnosis.brightness
        console.print(
            f"training images: mean {rounded(measured.mean)}, standard deviation {rounded(measured.std)}",
            soft_wrap=True,
        )
    if any(row.pixels for row in diagnosis.rows):
        console.print(_table(diagnosis))
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)
    for number, finding in enumerate(diagnosis.findings, start=1):
        _print_finding(console, number, finding)
    console.print(f"\n{verdict(diagnosis)}")


def verdict(diagnosis: Diagnosis) -> str:
    """Return the numbers of findings as a line."""
    numbers = {severity: sum(finding.severity == severity for finding in diagnosis.findings) for severity in SEVERITIES}
    listed = ", ".join(format_count(number, severity) for severity, number in numbers.items() if number)
    return f"{'clean' if diagnosis.clean else 'not clean'}{': ' * bool(listed)}{listed}"


def write_json(diagnosis: Diagnosis, path: Path) -> None:
    """Write all findings and statistics as JSON, with all file names."""
    content: dict[str, Any] = {
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "samples": diagnosis.sizes,
        "classes": [asdict(row) for row in diagnosis.rows],
        "brightness": asdict(diagnosis.brightness) if diagnosis.brightness else None,
    }
    write_atomically(path, json.dumps(content, indent=1))


def _table(diagnosis: Diagnosis) -> Table:
    """Return the table of classes."""
    has_objects = any(row.side is not None for row in diagnosis.rows)
    caption = "of train: pixels of the smallest object, side in pixels of a typical one" if has_objects else None
    table = Table(box=None, pad_edge=False, header_style="bold", caption=caption, caption_justify="left")
    table.add_column("class")
    for column in (
        "pixels" if has_objects else "samples",
        "share %",
        *(f"in {split}" for split in ("train", "val", "test")),
    ):
        table.add_column(column, justify="right")
    if has_objects:
        table.add_column("smallest", justify="right")
        table.add_column("typical side", justify="right")
    for row in diagnosis.rows:
        sizes = [f"{row.smallest:,}", f"{row.side:.0f}"] if row.side is not None else ["–", "–"]
        counts = [f"{number:,}" for number in row.images]
        cells = [f"{row.pixels:,}", f"{100 * row.share:.2f}", *counts, *(sizes if has_objects else [])]
        table.add_row(Text(printable(row.name)), *cells)
    return table


def _print_finding(console: Console, number: int, finding: Finding) -> None:
    """Print a finding with its first files and its fix."""
    console.print(Text.assemble(f"\n{number}. ", (finding.severity, _STYLES[finding.severity]), f"  {finding.check}"))
    lines = [finding.what]
    if finding.files:
        lines.append(f"{format_count(len(finding.files), 'file')}: {join_names(finding.files, 5)}")
    lines += f"mend: {finding.mend}".splitlines()
    for line in lines:
        # not wrapped, so that a line of config can be copied
        console.print(Text(printable(f"   {line}")), soft_wrap=True)
