"""Estimate of a training's time and memory from a few real steps on this device."""

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
class TrainingEstimate:
    """Expected time and memory of a training on one device.

    Attributes:
        device: Type of the device.
        parameters: Parameters of the net.
        step_seconds: Seconds of an optimizer step, or of loading its samples if that takes longer.
        loading: Whether loading takes longer.
        steps: Optimizer steps of the training.
        gibibytes: Peak memory of a step in GiB, of the GPU or of the process.
    """

    device: str
    parameters: int
    step_seconds: float
    loading: bool
    steps: int
    gibibytes: float

    @property
    def seconds(self) -> float:
        """Seconds of all steps, without validation, test and start-up."""
        return self.step_seconds * self.steps


def estimate(task: Task, data: ImageDataModule, trainer: Namespace) -> TrainingEstimate:
    """Train a few steps on real batches, and extrapolate.

    Args:
        task: The task of the recipe; its weights are changed.
        data: The data module of the recipe.
        trainer: The trainer options of the recipe.

    Raises:
        UserError: If net, data and options do not fit each other, or the memory does not suffice.
    """
    parts = trainer.accumulate_grad_batches
    size = data.check_batch_size(1, parts)
    start = time.perf_counter()
    batch = joined([data.train_sample(index) for index in range(min(size, len(data.dataset("train"))))])
    loading = (time.perf_counter() - start) / max(1, _workers(data)) * parts
    task.configure_from_data(data)
    device = training_device(trainer.accelerator, trainer.devices)
    with _translate_errors(data):
        seconds, memory = _run(task.to(device).train(), batch, str(trainer.precision), device)
    epoch = len(data.dataset("train")) // data.batch_size
    steps = trainer.max_steps if trainer.max_steps not in (None, -1) else epoch * (trainer.max_epochs or 0)
    parameters = sum(parameter.numel() for parameter in task.net.parameters())
    return TrainingEstimate(
        device.type, parameters, max(seconds * parts, loading), loading > seconds * parts, steps, memory
    )


def _run(task: Task, batch: Batch, precision: str, device: torch.device) -> tuple[float, float]:
    """Return the median seconds of a step after the first, and the peak memory in GiB."""
    optimizer = configure_optimizer(task.make_optimizer, task.net, task.encoder, *task.lr_factors)
    batch = to_device(batch, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(_STEPS):
        start = time.perf_counter()
        cast: Any = torch.autocast(device.type, _MIXED[precision]) if precision in _MIXED else nullcontext()
        with cast:
            logits = task(batch["image"])
        counts = batch["counts"][: len(task.classes)].float()
        task.loss.in_training(logits, batch["target"], 0.0, counts).backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), _peak_memory(device)


def _peak_memory(device: torch.device) -> float:
    """Return the peak memory in GiB, of the GPU or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    # in KiB on Linux, in bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (30 if sys.platform == "darwin" else 20)


def _workers(data: ImageDataModule) -> int:
    return data.num_workers if data.num_workers is not None else default_workers(1)


@contextmanager
def _translate_errors(data: ImageDataModule) -> Iterator[None]:
    """Translate errors of torch into ones that name the option to change.

    Raises:
        ConfigError: If the memory does not suffice, or BatchNorm gets a batch of one.
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


def in_words(result: TrainingEstimate) -> list[str]:
    """Return the estimate as lines of text."""
    hours, seconds = divmod(round(result.seconds), 3600)
    total = f"{hours} h {seconds // 60} min" if hours else f"{seconds // 60} min {seconds % 60} s"
    what = "its samples are loaded (more data.num_workers may help)" if result.loading else "the net runs"
    return [
        f"{result.parameters / 1e6:.2f} M parameters; {result.step_seconds:.2f} s a step on this {result.device}, in "
        f"which {what}; {result.steps:,} steps take about {total}, and validation comes on top",
        f"memory: about {result.gibibytes:.1f} GiB{' of the process' if result.device == 'cpu' else ' on the GPU'}",
    ]
