"""Two processes against one, and a data set of a million files: how fast it starts, and what a worker keeps of it.

usage: python experiments/benchmarks/scale.py [--pairs N] [--names N]

The processes have one core and one thread each, the same batch each, and take turns with the one that trains alone.
The million files are two under as many names; what their masks hold, which the first scan of a data set reads from each
of them, is given, since the scan is not what is measured.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from clock import Turns
from table import Row, main
from turns import Side, take_turns

from lightseg.data import MaskFolder
from lightseg.data.mask_files import MaskFiles

ROOT = Path(__file__).resolve().parents[2]
STEPS = 4
PIXELS = 16
LINKS = 20_000
"""Names of one file; a file system takes 65,000 at most, some fewer."""
EPOCH, EPOCHS = 100_000, 3


class PinnedTurns(Turns):
    """Turns of a training of several processes, each on a core of its own where the system lets it; the first tells."""

    def setup(self, trainer: Any, *_: Any, **__: Any) -> None:
        """Choose the core."""
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[trainer.local_rank % len(cores)]})

    def on_train_epoch_start(self, trainer: Any, *others: Any) -> None:
        """The other processes wait for the first at the first step."""
        if trainer.is_global_zero:
            super().on_train_epoch_start(trainer, *others)

    def on_train_batch_end(self, trainer: Any, *others: Any) -> None:
        """One is enough to tell the time: every step ends with an exchange."""
        if trainer.is_global_zero:
            super().on_train_batch_end(trainer, *others)


def training(processes: int, size: int, batch: int, epochs: int, runs: str) -> Side:
    """A training of the U-Net on ResNet-18 of the recipes, by so many processes with so many images each."""
    recipe = ("configs/net/smp.yaml", "configs/data/shapes.yaml", "configs/hardware/cpu.yaml")
    options = [part for file in recipe for part in ("--config", file)]
    options += ["--model.net.encoder", "resnet18", "--data.image_size", str(size), "--data.num_workers", "0"]
    options += ["--data.batch_size", str(batch * processes), "--data.train_size", str(batch * processes * STEPS)]
    options += ["--data.val_size", "2", "--data.test_size", "2", "--runs_dir", runs]
    options += ["--trainer.max_epochs", str(epochs), "--trainer.check_val_every_n_epoch", str(epochs)]
    options += ["--trainer.devices", str(processes), "--trainer.callbacks+=scale.PinnedTurns"]
    options += ["--trainer.strategy", "ddp"] if processes > 1 else []
    return Side([sys.executable, "-m", "lightseg.fit", *options])


def two_processes(pairs: int, size: int, batch: int, target: float | None) -> Row:
    """Images per second of two processes, and twice those of one; the gradients are 57 MB whatever the images are."""
    with tempfile.TemporaryDirectory() as runs:
        two, one = (training(processes, size, batch, pairs + 1, runs) for processes in (2, 1))
        take_turns([two, one], str(ROOT), {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)})
    ours, theirs = ([2 * batch * STEPS / seconds for seconds in side.seconds[1:]] for side in (two, one))
    what = f"DDP: 2 processes of 1 thread, U-Net on ResNet-18, {size}², batch {batch} each, bf16"
    return Row(what, "images/s", ours, "twice 1 process of 1 thread", theirs, target)


def many_files(root: Path, count: int) -> None:
    """So many images and masks, in folders of a thousand."""
    mask = np.repeat([0, 1], PIXELS**2 // 2).reshape(PIXELS, PIXELS).astype(np.uint8)
    for kind, pixels in (("images", np.full((PIXELS, PIXELS, 3), 90, np.uint8)), ("masks", mask)):
        first = ""
        for index in range(count):
            path = f"{root}/{kind}/{index // 1000:04d}/{index:07d}.png"
            if index % 1000 == 0:
                Path(path).parent.mkdir(parents=True)
            if index % LINKS == 0:
                cv2.imwrite(path, pixels)
                first = path
            else:
                os.link(first, path)


def module(root: Path, workers: int) -> MaskFolder:
    """The data, without augmentation."""
    return MaskFolder(["a", "b"], root=str(root), batch_size=100, num_workers=workers)


def start(root: Path) -> float:
    """Seconds until the first batch is there: what `fit` asks of its data, in the same order."""
    since, data = time.perf_counter(), module(root, 0)
    data.check()
    data.check_training()
    data.fingerprint()
    next(iter(data.train_dataloader()))
    return time.perf_counter() - since


def growth(root: Path) -> float:
    """MB that a loading process has more for itself after the last epoch than after the first."""
    with mock.patch.object(MaskFiles, "__getitem__", _without_reading):
        loader = module(root, 1).train_dataloader()
        sizes = []
        for _ in range(EPOCHS):
            batches = iter(loader)
            for _batch in itertools.islice(batches, EPOCH // 100):
                pass
            sizes.append(_private(int(loader.dataset.at[0, 0])))
    return sizes[-1] - sizes[0]


def _without_reading(self: MaskFiles, index: int) -> tuple[Any, Any]:
    # the names are asked for as ever; to decode a million images would take an hour
    assert self.name(index) != self.mask_name(index)
    return np.zeros((PIXELS, PIXELS, 3), np.uint8), np.zeros((PIXELS, PIXELS), np.uint8)


def _private(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Processes, then files."""
    yield two_processes(options.pairs, 256, 8, 0.85)
    # a step of a third, with as much to exchange
    yield two_processes(options.pairs, 192, 4, None)
    with tempfile.TemporaryDirectory() as folder:
        root, count = Path(folder), options.names
        many_files(root, count)
        known = lambda self, classes: np.full((len(self), classes), PIXELS**2 // 2, np.int64)  # noqa: E731
        with mock.patch.object(MaskFiles, "class_table", known):
            start(root)
        seconds = [start(root) for _ in range(options.pairs)]
        what = f"{count:,} images and masks: data ready, first batch included, after the first scan"
        yield Row(what, "s", seconds, target=10, less_is_better=True)
        what = f"{count:,} names: memory that a loading process gains from epoch 1 to {EPOCHS} of {EPOCH:,} samples"
        if Path("/proc/self/smaps_rollup").exists():
            yield Row(what, "MB", [growth(root)], target=5, less_is_better=True)
        else:
            yield Row(what, "MB", note="not measured: this system does not tell")


if __name__ == "__main__":
    main(__doc__, rows)
