"""Two processes against one, and a data set of a million files: how fast it starts, and how much memory a worker gains.

usage: python experiments/benchmarks/scale.py [--pairs N] [--precision NAME] [--names N]

The processes have one core and one thread each, the same batch each, and take turns with the one that trains alone.
The million files are two under as many names; what their masks hold, which the first scan of a data set reads from each
of them, is given, since the scan is not what is measured.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from clock import StepTurns
from overhead import Training, unet
from runner import BUDGET, Benchmark, main
from table import Row, in_turn
from turns import Side, step_rates

from lightseg.data import MaskFolder
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.hardware.devices import choose_precision

PIXELS = 16
LINKS = 20_000
"""Names of one file; a file system takes 65,000 at most, some fewer."""
EPOCH, EPOCHS = 100_000, 3


class PinnedTurns(StepTurns):
    """Turns of a training whose processes have a core each, where the system lets them choose."""

    def setup(self, trainer: Any, *_: Any, **__: Any) -> None:
        """Choose the core."""
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[trainer.local_rank % len(cores)]})


def by_processes(training: Training, processes: int, runs: Path) -> Side:
    """Return a training by so many processes of one thread, each with the training's batch."""
    side = training.by_lightseg(runs)
    command = [*side.command, "--trainer.accelerator", "cpu", "--trainer.devices", str(processes)]
    command += ["--data.num_workers", "0", "--data.batch_size", str(training.batch * processes)]
    command += ["--trainer.strategy", "ddp"] if processes > 1 else []
    command = [part.replace("clock.StepTurns", "scale.PinnedTurns") for part in command]
    return Side(command, {"OMP_NUM_THREADS": "1"})


def two_processes(options: argparse.Namespace, size: int, batch: int, target: float | None) -> Iterator[Row]:
    """Measure two processes, and twice what one does; the gradients are 57 MB whatever the images are."""
    precision = choose_precision(torch.device("cpu")).precision if torch.cuda.is_available() else options.precision
    training = unet(precision, size, batch)
    sides = [by_processes(training, processes, options.scratch / "runs") for processes in (2, 1)]
    # nothing is loaded ahead, and steps of one thread are long
    measurements = list(step_rates(sides, options.pairs, BUDGET, settle=0))
    ours, theirs = ([2 * batch * rate for rate in rates] for rates in zip(*measurements, strict=True))
    name = f"DDP: 2 processes of 1 thread, U-Net on ResNet-18, {size}², batch {batch} each, {precision}"
    yield Row(name, "images/s", ours, "twice 1 process of 1 thread", theirs, target)


def many_files(root: Path, count: int) -> None:
    """Write so many images and masks, in folders of a thousand."""
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
    """Return the data, without augmentation."""
    return MaskFolder(["a", "b"], root=str(root), batch_size=100, num_workers=workers)


def start(root: Path) -> float:
    """Return the seconds until the first batch is there: what `fit` asks of its data, in the same order."""
    begin, data = time.perf_counter(), module(root, 0)
    data.check()
    data.check_training()
    data.fingerprint()
    next(iter(data.train_dataloader()))
    return time.perf_counter() - begin


def growth(root: Path) -> float:
    """Return the MB that a loading process has more for itself after the last epoch than after the first."""
    with mock.patch.object(MaskDataset, "__getitem__", _without_reading):
        loader = module(root, 1).train_dataloader()
        sizes = []
        for _ in range(EPOCHS):
            batches = iter(loader)
            for _batch in itertools.islice(batches, EPOCH // 100):
                pass
            sizes.append(_private(int(loader.dataset.at[0, 0])))
    return sizes[-1] - sizes[0]


def _without_reading(self: MaskDataset, index: int) -> tuple[Any, Any]:
    # the names are read as ever; to decode a million images would take an hour
    assert self.name(index) != self.mask_name(index)
    return np.zeros((PIXELS, PIXELS, 3), np.uint8), np.zeros((PIXELS, PIXELS), np.uint8)


def _private(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def million_files(options: argparse.Namespace) -> Iterator[Row]:
    """Measure the memory and the start."""
    count = options.names
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        many_files(root, count)
        table = lambda self, classes: np.full((len(self), classes), PIXELS**2 // 2, np.int64)  # noqa: E731
        with mock.patch.object(MaskDataset, "class_table", table):
            start(root)
        # first: a loading process also gains what its parent has freed before, and it fills
        grown = growth(root) if Path("/proc/self/smaps_rollup").exists() else None
        seconds, _ = in_turn(lambda: start(root), None, options.pairs, BUDGET)
        name = f"{count:,} images and masks: data ready, first batch included, after the first scan"
        yield Row(name, "s", seconds, target=10, less_is_better=True)
        name = f"{count:,} names: memory that a loading process gains from epoch 1 to {EPOCHS} of {EPOCH:,} samples"
        if grown is not None:
            yield Row(name, "MB", [grown], target=5, less_is_better=True)
        else:
            yield Row(name, "MB", note="not measured: this system does not report it")


def suite(options: argparse.Namespace) -> list[Benchmark]:
    """Return processes, then files."""
    return [
        Benchmark("DDP: 2 processes", lambda: two_processes(options, 256, 8, 0.85)),
        # a step of a third, with as much to exchange
        Benchmark("DDP: 2 processes, small steps", lambda: two_processes(options, 192, 4, None)),
        Benchmark(f"{options.names:,} files", lambda: million_files(options), rows=2),
    ]


if __name__ == "__main__":
    main(__doc__, suite)
