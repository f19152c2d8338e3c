"""Estimate of a training's time and memory, from a few real steps of its net on this device."""

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jsonargparse import Namespace

from lightseg.data.data_module import ImageDataModule
from lightseg.data.loading.collate import default_workers, to_device
from lightseg.data.types import Batch
from lightseg.diagnosis.contact_sheet import joined
from lightseg.errors import ConfigError
from lightseg.hardware.devices import training_device
from lightseg.optim.optimizer import configure_optimizer
from lightseg.tasks import Task

_STEPS = 3
_MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Estimate:
    """Expected time and memory of a training on one device.

    Attributes:
        device: The device's kind.
        parameters: Of the net.
        step_seconds: One optimiser step, or the loading of its samples where that takes longer.
        loading: Whether it does.
        steps: Optimiser steps of the whole training.
        gibibytes: Most memory that a step took: of the GPU, or of the process.
    """

    device: str
    parameters: int
    step_seconds: float
    loading: bool
    steps: int
    gibibytes: float

    @property
    def seconds(self) -> float:
        """All steps; validation, test and start-up come on top."""
        return self.step_seconds * self.steps


def estimate(task: Task, data: ImageDataModule, trainer: Namespace) -> Estimate:
    """Train a few steps on batches as training has them, and extrapolate.

    Args:
        task: The task of the recipe; it is of no further use.
        data: Its data.
        trainer: The recipe's options of the trainer.

    Raises:
        UserError: If net, data and options do not fit each other, or the memory does not suffice.
    """
    parts = trainer.accumulate_grad_batches
    size = data.check_batch_size(1, parts)
    began = time.perf_counter()
    batch = joined([data.train_sample(index) for index in range(min(size, len(data.dataset("train"))))])
    loading = (time.perf_counter() - began) / max(1, _workers(data)) * parts
    task.follow(data)
    device = training_device(trainer.accelerator, trainer.devices)
    with _in_words(data):
        seconds, memory = _run(task.to(device).train(), batch, str(trainer.precision), device)
    epoch = len(data.dataset("train")) // data.batch_size
    steps = trainer.max_steps if trainer.max_steps not in (None, -1) else epoch * (trainer.max_epochs or 0)
    parameters = sum(parameter.numel() for parameter in task.net.parameters())
    return Estimate(device.type, parameters, max(seconds * parts, loading), loading > seconds * parts, steps, memory)


def _run(task: Task, batch: Batch, precision: str, device: torch.device) -> tuple[float, float]:
    """Median seconds of a step behind the first, and the most memory in GiB."""
    optimizer = configure_optimizer(task.make_optimizer, task.net, task.encoder, *task.lr_factors)
    batch = to_device(batch, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(_STEPS):
        began = time.perf_counter()
        cast: Any = torch.autocast(device.type, _MIXED[precision]) if precision in _MIXED else nullcontext()
        with cast:
            logits = task(batch["image"])
        counts = batch["counts"][: len(task.classes)].float()
        task.loss.in_training(logits, batch["target"], 0.0, counts).backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:]), _peak(device)


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    # of Linux in KiB, of macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (30 if sys.platform == "darwin" else 20)


def _workers(data: ImageDataModule) -> int:
    return data.num_workers if data.num_workers is not None else default_workers(1)


@contextmanager
def _in_words(data: ImageDataModule) -> Iterator[None]:
    """Say what torch's errors mean here.

    Raises:
        ConfigError: If the memory does not suffice, or a batch of one leaves BatchNorm nothing to average.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise ConfigError(
            f"a step on {data.batch_size} samples does not fit into the memory of the GPU; lower data.batch_size, set "
            "trainer.accumulate_grad_batches, or crop smaller in data.train_transforms"
        ) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "one image at a time leaves BatchNorm nothing to average; give data.batch_size 2 or more per process"
        ) from None


def in_words(cost: Estimate) -> list[str]:
    """Return the lines that say it."""
    hours, rest = divmod(round(cost.seconds), 3600)
    total = f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
    what = "its samples are loaded (more data.num_workers may help)" if cost.loading else "the net runs"
    return [
        f"{cost.parameters / 1e6:.2f} M parameters; {cost.step_seconds:.2f} s a step on this {cost.device}, in "
        f"which {what}; {cost.steps:,} steps take about {total}, and validation comes on top",
        f"memory: about {cost.gibibytes:.1f} GiB{' of the process' if cost.device == 'cpu' else ' on the GPU'}",
    ]
