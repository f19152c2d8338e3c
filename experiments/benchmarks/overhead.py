"""What lightseg costs beside a hand-written PyTorch loop: same net, data, loss, optimiser, precision and batches.

usage: python experiments/benchmarks/overhead.py [--pairs N] [--cifar ROOT]

Each training has a process of its own, as a user would start it, and all take turns, for the same number of steps:
`lightseg.fit` with all that it does beside the steps, and the shortest honest loop, which reads the same loader.
Compared is training images per second behind the first steps, validation and start-up apart. On a CPU, part of what
`lightseg.fit` does for its speed is to have the C library keep freed memory (`lightseg/allocation.py`); so the loop is
measured a second time with the same settings, which leaves what the steps alone cost. Without CIFAR-10, pictures of
its size are made.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import Clock
from table import Row, main
from torch import nn

from lightseg.cli import LightsegCLI
from lightseg.training import fit, hush_lightning

ROOT = Path(__file__).resolve().parents[2]
WARMUP = 3
KEPT = {"MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_MMAP_THRESHOLD_": str(2**30)}
"""What `lightseg/allocation.py` asks of glibc, for a process that does not."""


def unet() -> tuple[list[str], int]:
    """Options of a net whose step takes a while, and the number of steps."""
    options = ["--config", f"{ROOT}/configs/net/smp.yaml", "--config", f"{ROOT}/configs/data/shapes.yaml"]
    options += ["--model.net.encoder", "resnet18", "--data.image_size", "256", "--data.batch_size", "8"]
    return [*options, "--data.train_size", "160", "--data.val_size", "8", "--data.test_size", "8"], 20


def tutorial_cnn(cifar: str) -> tuple[list[str], int]:
    """Options of a net whose step takes milliseconds, where overhead shows, and the number of steps."""
    recipe = ["--config", f"{ROOT}/experiments/cifar10/simple_cnn.yaml", "--data.root", cifar]
    return [*recipe, "--model.optimizer", "torch.optim.AdamW"], 250


def by_lightseg(options: list[str], steps: int, precision: str = "bf16-mixed") -> float:
    """Images per second of a run as a user starts it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit([*options, *trainer(steps, precision), "--trainer.callbacks+=clock.Clock", f"--runs_dir={folder}"])
    return Clock.rates[-1]


def by_hand(options: list[str], steps: int) -> float:
    """Images per second of the shortest honest loop."""
    cli = LightsegCLI([*options, *trainer(steps)])
    data, net = cli.datamodule, cli.model.net
    # data that lies on the device does so for both
    data.trainer = cli.make_trainer([], [], [])
    data.prepare_data()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = net.train().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), fused=device.type == "cuda")
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in data.pixel_stats())
    images, since, spent = 0, 0.0, 0.0
    for step, batch in enumerate(itertools.islice(data.train_dataloader(), steps), start=1):
        pixels = batch["image"].to(device, non_blocking=True).float().div(255).sub(mean).div(std)
        with torch.autocast(device.type, torch.bfloat16):
            logits = net(pixels.contiguous(memory_format=torch.channels_last))
        target = batch["target"].to(device, non_blocking=True)
        loss = nn.functional.cross_entropy(logits.float(), target, ignore_index=255)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step > WARMUP:
            images += len(pixels)
        if step in (WARMUP, steps):
            # the device's queue would hide what a step costs
            loss.item()
        if step == WARMUP:
            since = time.perf_counter()
        elif step == steps:
            spent = time.perf_counter() - since
    return images / spent


def trainer(steps: int, precision: str = "bf16-mixed") -> list[str]:
    """Options of both: as many steps as one epoch has or fewer."""
    return ["--trainer.max_steps", str(steps), "--trainer.precision", precision, "--trainer.devices", "1"]


def cifar_like(folder: Path) -> str:
    """Random pictures in CIFAR-10's own format; returns the folder."""
    rng = np.random.default_rng(0)
    inside = folder / "cifar-10-batches-py"
    inside.mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        pixels = rng.integers(0, 256, (10_000, 3072), np.uint8)
        labels = [int(label) for label in rng.permutation(np.arange(10_000) % 10)]
        names = [f"{name}_{index}.png".encode() for index in range(10_000)]
        (inside / name).write_bytes(pickle.dumps({b"data": pixels, b"labels": labels, b"filenames": names}))
    return str(folder)


def in_a_process(measure: Callable[..., float], *args: Any, **variables: str) -> float:
    """What a measurement of this module gives in a fresh process with some environment variables."""
    # what a process prints at its end about its modules says nothing about speed
    code = "import json, sys, overhead; print(overhead.hushed(sys.argv[1], *json.loads(sys.argv[2])))"
    done = subprocess.run(
        [sys.executable, "-c", code, measure.__name__, json.dumps(args)],
        cwd=Path(__file__).parent,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout.splitlines()[-1])


def hushed(measure: str, *args: Any) -> float:
    """A measurement by name, without Lightning's advice."""
    hush_lightning()
    warnings.simplefilter("ignore")
    return float(globals()[measure](*args))


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Both nets, each against the loop as it is and with lightseg's memory settings."""
    with tempfile.TemporaryDirectory() as folder:
        cifar = options.cifar or cifar_like(Path(folder))
        pictures = "CIFAR-10" if options.cifar else "noise of its size"
        nets = {
            "U-Net on ResNet-18, 256², batch 8, bf16": (unet(), 0.97),
            f"tutorial CNN, {pictures}, batch 128, bf16": (tutorial_cnn(cifar), 0.93),
        }
        for name, (recipe, target) in nets.items():
            turns = [
                (
                    in_a_process(by_lightseg, *recipe),
                    in_a_process(by_hand, *recipe),
                    in_a_process(by_hand, *recipe, **KEPT),
                )
                for _ in range(options.pairs + 1)
            ]
            ours, theirs, kept = zip(*turns[1:], strict=True)
            yield Row(name, "images/s", ours, "a hand-written PyTorch loop", theirs, target)
            if not torch.cuda.is_available():
                yield Row(name, "images/s", ours, "the same loop, which keeps freed memory", kept)


if __name__ == "__main__":
    main(__doc__, rows)
