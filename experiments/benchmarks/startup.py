"""The time that a user waits: for the usage, and from the command to the first optimiser step of a recipe.

usage: python experiments/benchmarks/startup.py [--pairs N] [--camvid ROOT]

Every start is a process of its own, as a shell would start it; the first of each kind warms the file cache up, has the
bytecode compiled, and does not count. `cold` has an empty cache folder, so that every mask is read once before the
training; `warm` has that of the start before. Without CamVid, as many pictures of its size are made.
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from frames import camvid_like
from runner import BUDGET, Benchmark, main
from table import Row, in_turn
from turns import HERE, ROOT

START = "STARTED_AT"


class FirstStep(L.Callback):
    """Reports how long ago the process was started, and ends it."""

    def on_train_batch_end(self, _trainer: L.Trainer, _task: Any, outputs: Any, *_: Any) -> None:
        """End after one step."""
        outputs["loss"].item()
        print(f"first step after {time.time() - float(os.environ[START])}", flush=True)
        # without any clean-up, which is no part of the start
        os._exit(0)


def start(arguments: Sequence[str], cache: Path) -> tuple[float, str]:
    """Return the seconds that `python -m lightseg.fit` takes, and its output.

    Raises:
        RuntimeError: If it fails.
    """
    environment = {**os.environ, "LIGHTSEG_CACHE": str(cache), "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}"}
    # bytecode, which the Makefile has compiled too
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment[START] = str(time.time())
    command = [sys.executable, "-m", "lightseg.fit", *arguments]
    begin = time.perf_counter()
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(process.stderr)
    return time.perf_counter() - begin, process.stdout


def usage(options: argparse.Namespace) -> Iterator[Row]:
    """Measure the usage."""
    seconds, _ = in_turn(lambda: start(["--help"], options.scratch)[0], None, options.pairs, BUDGET)
    yield Row("start-up: `lightseg.fit --help`", "s", seconds, target=3, less_is_better=True)


def first_step(options: argparse.Namespace, kind: str, cache: Callable[[], Path]) -> Iterator[Row]:
    """Measure the time from the command to the end of the first optimiser step.

    Args:
        options: Of the benchmark.
        kind: Of the cache, for the row.
        cache: Returns the cache folder of the next start.
    """
    camvid = options.camvid or camvid_like(options.scratch / "camvid")
    arguments = ["--config", "experiments/camvid/unet_small.yaml", "--data.root", camvid]
    arguments += ["--runs_dir", str(options.scratch / "runs"), "--trainer.callbacks+=startup.FirstStep"]

    def measure() -> float:
        _, output = start(arguments, cache())
        return float(output.rpartition("first step after ")[2])

    seconds, _ = in_turn(measure, None, options.pairs, BUDGET)
    frames = "CamVid" if options.camvid else "painted frames in its place"
    name = f"start-up: CamVid recipe ({frames}), command to first optimiser step, {kind} cache"
    yield Row(name, "s", seconds, target=15, less_is_better=True)


def suite(options: argparse.Namespace) -> list[Benchmark]:
    """Return the usage, and the first step with and without a cache."""
    numbers = itertools.count()
    caches: dict[str, Callable[[], Path]] = {
        "cold": lambda: options.scratch / f"cold{next(numbers)}",
        "warm": lambda: options.scratch / "warm",
    }
    benchmarks = [Benchmark("start-up: `lightseg.fit --help`", lambda: usage(options))]
    for kind, cache in caches.items():
        measure = partial(first_step, options, kind, cache)
        benchmarks.append(Benchmark(f"start-up: CamVid recipe, {kind} cache", measure))
    return benchmarks


if __name__ == "__main__":
    main(__doc__, suite)
