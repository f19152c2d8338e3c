"""Speed of a type of number on a device against float32: measured once per machine, and kept in the cache."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import torch
from torch import nn

from lightseg.errors import UserError
from lightseg.files.atomic import file_lock
from lightseg.files.disk_cache import cache_dir, cached
from lightseg.hardware.cpu import instruction_set, processor_name

_KERNEL_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "NVIDIA_TF32_OVERRIDE")
"""Environment variables that decide which kernels compute."""


class Speedup(NamedTuple):
    """Speed of a type of number on a device.

    Attributes:
        ratio: Seconds of a training step in float32 per second of one in that type.
        date: Day of an earlier measurement, in UTC; empty if it was measured just now.
    """

    ratio: float
    date: str = ""


def find_speedup(device: torch.device, dtype: torch.dtype) -> Speedup:
    """Return the speed of a type on a device, from the cache if this machine has measured it before.

    Two measurements differ by up to 20 %, so that a choice by the measurement alone would not repeat. The processes of
    a machine take turns, so that the first of them measures for all. A cache that cannot be written is no error.

    Args:
        device: A CPU or CUDA device.
        dtype: bfloat16 or float16, for autocast, or float64.
    """
    digest = hashlib.sha256(json.dumps(_conditions(device, dtype)).encode()).hexdigest()[:16]
    is_new = False

    def measure() -> dict[str, Any]:
        nonlocal is_new
        is_new = True
        return {"ratio": measure_speedup(device, dtype), "date": str(datetime.now(UTC).date())}

    with contextlib.ExitStack() as stack:
        # without a lock, two processes may measure at the same time
        with contextlib.suppress(OSError, UserError):
            stack.enter_context(file_lock(cache_dir() / "speedup"))
        record = cached(f"speedup/{digest}", measure)
    return Speedup(record["ratio"], "" if is_new else record["date"])


def measure_speedup(device: torch.device, dtype: torch.dtype) -> float:
    """Return how much faster a device trains a small convolutional block in a type than in float32.

    On a CPU the time is that of one thread on the processor, so that other work on the machine does not disturb it.
    The global random generators are left as they are.

    Args:
        device: A CPU or CUDA device.
        dtype: bfloat16 or float16, for autocast, or float64.
    """
    threads = torch.get_num_threads()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        full_step, step = _make_step(device, torch.float32), _make_step(device, dtype)
        try:
            if device.type == "cpu":
                torch.set_num_threads(1)
            full_step()
            step()
            pairs = [(_seconds(full_step, device), _seconds(step, device)) for _ in range(2)]
        finally:
            torch.set_num_threads(threads)
    full_seconds, seconds = map(min, zip(*pairs, strict=True))
    return float(full_seconds / seconds)


def _conditions(device: torch.device, dtype: torch.dtype) -> list[Any]:
    """Return what a measurement depends on; on a CPU it takes one thread, whatever a training takes."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        kernels = [torch.cuda.get_device_capability(device), torch.version.cuda, torch.backends.cudnn.version()]
    else:
        name = processor_name()
        kernels = [instruction_set(), torch.backends.cpu.get_cpu_capability()]
    limits = [os.environ.get(variable) for variable in _KERNEL_LIMITS]
    return [name, *kernels, limits, torch.__version__, str(dtype)]


def _make_step(device: torch.device, dtype: torch.dtype) -> Callable[[], None]:
    """Return a training step of a small convolutional block, under autocast if the type is a half-precision one."""
    channels, size, batch = (64, 32, 4) if device.type == "cpu" else (128, 64, 32)
    is_half = dtype.itemsize < torch.float32.itemsize
    weights: dict[str, Any] = {"device": device, "dtype": torch.float32 if is_half else dtype}
    layers = [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
    net.to(**weights).to(memory_format=torch.channels_last)
    images = torch.randn(batch, channels, size, size, **weights).to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast(device.type, dtype if is_half else None, enabled=is_half):
            output = net(images)
        output.to(weights["dtype"]).mean().backward()

    return step


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of one step: of this thread on a CPU, of the device's queue on a GPU."""
    if device.type == "cpu":
        start = time.thread_time()
        step()
        return time.thread_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    step()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start
