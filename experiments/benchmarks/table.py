"""Rows of the benchmark table: measured in pairs, in turn, so that a machine that drifts drifts for both."""

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

BEGIN, END = "<!-- benchmarks: written by `make bench` -->", "<!-- end of benchmarks -->"


@dataclass
class Row:
    """One comparison.

    Attributes:
        what: What was measured, with sizes.
        unit: Of both measurements, such as `images/s` or `s`.
        ours: Of lightseg, one for each repetition.
        against: What it is compared with; empty for a measurement that stands alone.
        theirs: Of the other, measured in turn with ours.
        target: The ratio, or without another the value, to be reached; None for no promise.
        less_is_better: Whether the unit is a cost, such as seconds.
        note: Why it was not measured, or what else there is to know.
    """

    what: str
    unit: str
    ours: Sequence[float] = ()
    against: str = ""
    theirs: Sequence[float] = ()
    target: float | None = None
    less_is_better: bool = False
    note: str = ""
    ratios: list[float] = field(init=False)

    def __post_init__(self) -> None:
        pairs = zip(self.ours, self.theirs, strict=bool(self.theirs))
        self.ratios = [theirs / ours if self.less_is_better else ours / theirs for ours, theirs in pairs]

    @property
    def met(self) -> bool | None:
        """Whether the target is reached by the median; None where there is none, or nothing was measured."""
        if self.target is None or not self.ours:
            return None
        if self.ratios:
            return statistics.median(self.ratios) >= self.target
        value = statistics.median(self.ours)
        return value <= self.target if self.less_is_better else value >= self.target


Benchmark = Callable[[argparse.Namespace], Iterator[Row]]


def arguments(usage: str) -> argparse.ArgumentParser:
    """The options that a usage names; data that is not given is made, where that says as much."""
    parser = argparse.ArgumentParser(description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    options: dict[str, dict[str, Any]] = {
        "--pairs": {"type": _count, "metavar": "N", "default": 5, "help": "repetitions that count"},
        "--camvid": {"type": _existing, "metavar": "ROOT", "help": "CamVid in SegNet's layout"},
        "--cifar": {"type": _existing, "metavar": "ROOT", "help": "CIFAR-10, a folder, archive or zip"},
        "--airbench": {
            "type": _existing,
            "metavar": "FILE",
            "help": "airbench94.py of KellerJordan/cifar10-airbench; for a GPU",
        },
        "--names": {"type": _count, "metavar": "N", "default": 1_000_000, "help": "files of the largest data set"},
    }
    for name, facts in options.items():
        if name in usage:
            parser.add_argument(name, **facts)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def _existing(text: str) -> str:
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    # benchmarks have folders of their own
    return str(Path(text).resolve())


def main(usage: str | None, rows: Benchmark) -> None:
    """Run one benchmark from the command line and print its table; what it decodes is forgotten afterwards."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LIGHTSEG_CACHE"] = cache
        measured = list(rows(arguments(usage or "").parse_args()))
    print(f"{markdown(measured)}\n\n{machine()}")


def in_turn(
    ours: Callable[[], float], theirs: Callable[[], float], pairs: int
) -> tuple[Sequence[float], Sequence[float]]:
    """Measure two things in turn; the first pair warms up and does not count."""
    measured = [(ours(), theirs()) for _ in range(pairs + 1)][1:]
    first, second = zip(*measured, strict=True)
    return first, second


def markdown(rows: Iterable[Row]) -> str:
    """The table."""
    lines = ["| what | against | unit | lightseg | the other | ratio, median (min to max) | n | target |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        ours, theirs = (_number(statistics.median(part)) if part else "" for part in (row.ours, row.theirs))
        what = f"{row.what} ({row.note})" if row.note else row.what
        count = str(len(row.ours)) if row.ours else ""
        cells = [what, row.against, row.unit, ours, theirs, _spread(row.ratios), count, _target(row)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> str:
    """The hardware and the versions that a table is of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    packages = ("lightseg", "torch", "lightning", "segmentation-models-pytorch", "albumentations")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return f"{cores} cores of {_processor()}, {device}; Python {platform.python_version()}, {versions}."


def write(path: Path, text: str) -> None:
    """Put a text between the marks of a page.

    Raises:
        ValueError: If the page has no marks.
    """
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path}: has no `{BEGIN}` … `{END}`")
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


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
    said = {True: "", False: " **missed**", None: ""}[row.met]
    return f"{sign} {row.target:.3g}{said}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return found[0].partition(":")[2].strip() if found else platform.machine()
