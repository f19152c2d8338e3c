"""The cost of lightseg beside a hand-written PyTorch loop: same net, data, loss, optimiser, precision and batches.

usage: python experiments/benchmarks/overhead.py [--pairs N] [--precision NAME] [--cifar ROOT]

Each training has a process of its own, as a user would start it, and all take turns, for the same number of steps:
`lightseg.fit` with all that it does beside the steps, and the shortest honest loop, which reads the same loader. Each
repetition has new processes. Compared is training images per second after the first steps, validation and start-up
apart. On a CPU, part of what `lightseg.fit` does for its speed is to have the C library keep freed memory
(`lightseg/hardware/malloc.py`); so the loop is measured a second time with the same settings, which leaves what the
steps alone cost, and a third time with AdamW in one kernel (`fused`) besides, as lightseg has it. Without CIFAR-10,
pictures of its size are made.
"""

import argparse
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from runner import BUDGET, Benchmark, main
from table import Row
from turns import ROOT, Side, step_rates

ENDLESS = ["--trainer.max_steps", "1000000", "--trainer.max_epochs", "-1"]
ENDLESS += ["--trainer.check_val_every_n_epoch", "1000000", "--trainer.devices", "1"]
"""Options of a training that lasts until the benchmark ends it."""

KEPT = {"MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_MMAP_THRESHOLD_": str(2**30)}
"""What `lightseg/hardware/malloc.py` asks of glibc, for a process that does not."""


@dataclass
class Training:
    """A recipe whose cross-entropy and AdamW the hand-written loop has too.

    Attributes:
        name: Net, pictures, sizes and precision.
        options: Of `lightseg.fit`.
        batch: Images of a step.
        precision: Of Lightning's trainer.
    """

    name: str
    options: list[str]
    batch: int
    precision: str

    def by_lightseg(self, runs: Path, precision: str = "") -> Side:
        """Return the training as a user starts it."""
        options = [*self.options, *ENDLESS, "--trainer.precision", precision or self.precision]
        options += ["--trainer.callbacks+=clock.StepTurns", "--runs_dir", str(runs)]
        return Side([sys.executable, "-m", "lightseg.fit", *options])

    def by_hand(self, *flags: str, **environment: str) -> Side:
        """Return the hand-written loop."""
        command = [sys.executable, "hand_written.py", self.precision, *flags, *self.options, *ENDLESS]
        return Side(command, environment)


def unet(precision: str, size: int = 256, batch: int = 8) -> Training:
    """Return a training whose step takes a while."""
    options = ["--config", f"{ROOT}/configs/net/smp.yaml", "--config", f"{ROOT}/configs/data/shapes.yaml"]
    options += ["--model.net.encoder", "resnet18", "--data.image_size", str(size), "--data.batch_size", str(batch)]
    options += ["--data.train_size", "160", "--data.val_size", "8", "--data.test_size", "8"]
    return Training(f"U-Net on ResNet-18, {size}², batch {batch}, {precision}", options, batch, precision)


def tutorial_cnn(precision: str, root: str, pictures: str, batch: int = 128) -> Training:
    """Return a training whose step takes milliseconds, where overhead shows."""
    options = ["--config", f"{ROOT}/experiments/cifar10/simple_cnn.yaml", "--data.root", root]
    options += ["--model.optimizer", "torch.optim.AdamW", "--data.batch_size", str(batch)]
    return Training(f"tutorial CNN, {pictures}, batch {batch}, {precision}", options, batch, precision)


def cifar(options: argparse.Namespace, count: int = 10_000) -> tuple[str, str]:
    """Return the root of CIFAR-10, or of random pictures in its own format, `count` in each file, and their name."""
    if options.cifar:
        return options.cifar, "CIFAR-10"
    folder = options.scratch / "cifar"
    inside = folder / "cifar-10-batches-py"
    if not inside.exists():
        inside.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
            pixels = rng.integers(0, 256, (count, 3072), np.uint8)
            labels = [int(label) for label in rng.permutation(np.arange(count) % 10)]
            names = [f"{name}_{index}.png".encode() for index in range(count)]
            (inside / name).write_bytes(pickle.dumps({b"data": pixels, b"labels": labels, b"filenames": names}))
    return str(folder), "noise of CIFAR-10's size"


def compare(
    training: Training, runs: Path, pairs: int, target: float | None, strict_target: float | None
) -> Iterator[Row]:
    """Measure lightseg, the loop as it is and, on a CPU, the loop with lightseg's memory settings and optimiser."""
    sides = [training.by_lightseg(runs), training.by_hand()]
    if not torch.cuda.is_available():
        sides += [training.by_hand(**KEPT), training.by_hand("--fused", **KEPT)]
    measurements = step_rates(sides, pairs, 2 * BUDGET, fresh=True)
    ours, *theirs = ([training.batch * rate for rate in rates] for rates in zip(*measurements, strict=True))
    against = (
        "a hand-written PyTorch loop",
        "the same loop, which keeps freed memory",
        "the same, and its AdamW is fused",
    )
    for other, name, ratio in zip(theirs, against, (target, strict_target, None), strict=False):
        yield Row(training.name, "images/s", ours, name, other, ratio)


def suite(options: argparse.Namespace) -> list[Benchmark]:
    """Return both nets."""
    nets = [
        (unet(options.precision), 0.97, 0.98),
        (tutorial_cnn(options.precision, *cifar(options)), 0.93, 0.95),
    ]
    return [
        Benchmark(
            net.name,
            partial(compare, net, options.scratch / "runs", options.pairs, *targets),
            rows=1 if torch.cuda.is_available() else 3,
        )
        for net, *targets in nets
    ]


if __name__ == "__main__":
    main(__doc__, suite)
