"""Benchmarks as they are run: with options, within a time limit, one after another, whatever fails."""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe, resolve_precision
from table import Row, markdown

from lightseg.distributed.lightning_compat import silence_lightning

LIMIT = 180.0
"""Seconds that a row may take."""

BUDGET = 165.0
"""Seconds after which a row's repetitions end, so that it stays within its limit."""


@dataclass
class Benchmark:
    """Rows that are measured together.

    Args:
        name: Of the row that stands in the table when the measurement fails.
        measure: Measures the rows.
        rows: Number of rows, each of which may take `LIMIT` seconds.
    """

    name: str
    measure: Callable[[], Iterable[Row]]
    rows: int = 1


Suite = Callable[[argparse.Namespace], list[Benchmark]]


def measured(benchmarks: Iterable[Benchmark], seconds: float = float("inf")) -> Iterator[Row]:
    """Yield the rows of all benchmarks; one that fails, or might last beyond `seconds`, yields a row that says so."""
    start = time.perf_counter()
    for benchmark in benchmarks:
        if time.perf_counter() - start + LIMIT * benchmark.rows > seconds:
            yield Row(benchmark.name, note="not measured: the time for all rows was over")
            continue
        try:
            with time_limit(LIMIT * benchmark.rows):
                yield from benchmark.measure()
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            yield Row(benchmark.name, note=f"failed: {reason}", has_failed=True)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread after `seconds`, where the system has timers."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def expire(*_: Any) -> None:
        raise TimeoutError(f"took longer than {seconds:.0f} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def prepared(options: argparse.Namespace) -> Iterator[None]:
    """Resolve the precision and lend a scratch folder and a cache, which are removed afterwards."""
    silence_lightning()
    # what Lightning and torch advise says nothing about speed
    warnings.simplefilter("ignore")
    options.precision, options.reason = resolve_precision(options.precision)
    with tempfile.TemporaryDirectory() as folder:
        options.scratch = Path(folder)
        os.environ["LIGHTSEG_CACHE"] = f"{folder}/cache"
        yield


def main(usage: str | None, suite: Suite) -> None:
    """Run one suite from the command line and print its table."""
    options = arguments(usage or "").parse_args()
    with prepared(options):
        rows = list(measured(suite(options)))
    print(f"{markdown(rows)}\n\n{describe(options.precision, options.reason)}")
    sys.exit(any(row.has_failed for row in rows))


def arguments(usage: str) -> argparse.ArgumentParser:
    """Return a parser of the options that a usage names; without data, pictures of the same size are painted."""
    parser = argparse.ArgumentParser(description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    options: dict[str, dict[str, Any]] = {
        "--pairs": {"type": _count, "metavar": "N", "default": 5, "help": "repetitions that count"},
        "--precision": {"metavar": "NAME", "default": "auto", "help": "bf16-mixed, 16-mixed, 32-true; what auto takes"},
        "--camvid": {"type": _existing, "metavar": "ROOT", "help": "CamVid in SegNet's layout"},
        "--cifar": {"type": _existing, "metavar": "ROOT", "help": "CIFAR-10, a folder, archive or zip"},
        "--airbench": {
            "type": _existing,
            "metavar": "FILE",
            "help": "airbench94.py of KellerJordan/cifar10-airbench; for a GPU",
        },
        "--names": {"type": _count, "metavar": "N", "default": 1_000_000, "help": "files of the largest data set"},
    }
    parser.set_defaults(precision="auto")
    for name, settings in options.items():
        if name in usage:
            parser.add_argument(name, **settings)
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
