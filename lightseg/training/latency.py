"""Latency of a net on this machine, for searches that weigh it against the score."""

import statistics
import time
from pathlib import Path

import torch

from lightseg.data import ImageDataModule
from lightseg.files.atomic import write_json
from lightseg.files.names import LATENCY
from lightseg.tasks import Task

_WARM_UP, _LEAST, _SECONDS = 3, 15, 2.0
"""Forward passes before the timing starts; least number of timed passes; least total seconds."""


def write_latency(folder: Path, task: Task, data: ImageDataModule) -> None:
    """Measure the latency of a net for the first validation image, and write it into the run folder.

    Args:
        folder: The run folder.
        task: The task, on the device of the measurement.
        data: Its data.
    """
    images = data.eval_batch(0, "val")["image"]
    latency = measure_latency(task, images.to(task.device))
    write_json(folder / LATENCY, {"latency_ms": latency, "input": list(images.shape[1:]), "device": str(task.device)})


@torch.inference_mode()
def measure_latency(task: Task, images: torch.Tensor) -> float:
    """Return the median milliseconds of a forward pass in eval mode and float32.

    On a CPU the time is that of one thread on the processor, so that neither the number of cores nor other work on the
    machine changes it.

    Args:
        task: A task in eval mode.
        images: A batch `(N, C, H, W)` on the device of the task.
    """
    threads, device = torch.get_num_threads(), images.device
    seconds = list[float]()
    try:
        if device.type == "cpu":
            torch.set_num_threads(1)
        with torch.compiler.set_stance("force_eager"):
            for _ in range(_WARM_UP):
                task(images)
            while len(seconds) < _LEAST or sum(seconds) < _SECONDS:
                start = _clock(device)
                task(images)
                seconds.append(_clock(device) - start)
    finally:
        torch.set_num_threads(threads)
    return 1000 * statistics.median(seconds)


def _clock(device: torch.device) -> float:
    """Return the seconds that this thread has computed, or on a GPU a time at which its queue is empty."""
    if device.type == "cpu":
        return time.thread_time()
    torch.accelerator.synchronize(device)
    return time.perf_counter()
