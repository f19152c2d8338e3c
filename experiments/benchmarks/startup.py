"""How long a user waits: for the usage, and from the command to the first optimiser step of a recipe.

usage: python experiments/benchmarks/startup.py [--pairs N] [--camvid ROOT]

Every start is a process of its own, as a shell would start it; the first of each kind warms the file cache up, has the
bytecode compiled, and does not count. `cold` has an empty cache folder, so that every mask is read once before the
training; `warm` has that of the start before. Without CamVid, as many pictures of its size are made.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from frames import camvid_like
from table import Row, main

ROOT = Path(__file__).resolve().parents[2]
SINCE = "STARTED_AT"


class FirstStep(L.Callback):
    """Tells how long ago the process was started, and ends it."""

    def on_train_batch_end(self, _trainer: L.Trainer, _task: Any, outputs: Any, *_: Any) -> None:
        """One step is all it takes."""
        outputs["loss"].item()
        print(f"first step after {time.time() - float(os.environ[SINCE])}", flush=True)
        # as hard as can be: what follows is no part of the start
        os._exit(0)


def start(arguments: Sequence[str], cache: Path) -> tuple[float, str]:
    """Seconds until `python -m lightseg.fit` has ended, and what it said."""
    environment = {**os.environ, "LIGHTSEG_CACHE": str(cache), "PYTHONPATH": str(Path(__file__).parent)}
    # bytecode, which the Makefile has compiled too
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment[SINCE] = str(time.time())
    command = [sys.executable, "-m", "lightseg.fit", *arguments]
    since = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - since, done.stdout


def first_step(camvid: str, place: Path, cache: Path) -> float:
    """Seconds from the command to the end of the first optimiser step."""
    options = ["--config", "experiments/camvid/unet_small.yaml", "--data.root", camvid, "--runs_dir", str(place)]
    _, said = start([*options, "--trainer.callbacks+=startup.FirstStep"], cache)
    return float(said.rpartition("first step after ")[2])


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """The usage, and the first step with and without a cache."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        camvid = options.camvid or camvid_like(place / "camvid")
        times = range(options.pairs + 1)
        shown = [start(["--help"], place)[0] for _ in times][1:]
        yield Row("start-up: `lightseg.fit --help`", "s", shown, target=3, less_is_better=True)
        kinds = {"cold": [place / f"cold{index}" for index in times], "warm": [place / "warm"] * len(times)}
        for kind, caches in kinds.items():
            seconds = [first_step(camvid, place / "runs", cache) for cache in caches][1:]
            frames = "CamVid" if options.camvid else "painted frames in its place"
            what = f"start-up: CamVid recipe ({frames}), command to first optimiser step, {kind} cache"
            yield Row(what, "s", seconds, target=15, less_is_better=True)


if __name__ == "__main__":
    main(__doc__, rows)
