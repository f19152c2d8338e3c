"""Device that trains: its kind, the precision in which it is fast, and the threads that it may use."""

import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import nn

from lightseg.distributed import environment
from lightseg.errors import ConfigError
from lightseg.hardware.cpu import usable_cores

AUTO = "auto"
"""The value of `trainer.precision` that `choose_precision` replaces."""

FLOAT32 = "32-true"

KEPT = "kept from the run"
"""Reason of a precision that a run goes on with."""

_WORTH_ON_CPU = 1.2
"""Speed-up from which bfloat16 is taken on a CPU, where it has no other merit."""
_WORTH_ON_CUDA = 0.9
"""The same on a GPU, where it also halves the memory of activations."""
_SLOW = 1.5
"""Slowdown from which a stated precision is warned about."""

_BFLOAT16 = ("bf16-mixed", "bf16-true", "bf16")
_FLOAT16 = ("16-mixed", "16-true", "16")
_PRECISIONS = (
    AUTO,
    FLOAT32,
    "32",
    "64-true",
    "64",
    *_FLOAT16,
    *_BFLOAT16,
    "transformer-engine",
    "transformer-engine-float16",
)


class PrecisionChoice(NamedTuple):
    """Precision and the reason for it.

    Attributes:
        precision: Lightning's name of it.
        reason: Half a sentence for the start line.
    """

    precision: str
    reason: str

    def __str__(self) -> str:
        return f"{self.precision} ({self.reason})" if self.reason else self.precision


def training_device(accelerator: Any = AUTO, devices: Any = AUTO) -> torch.device:
    """Return the device that Lightning will give this process, or the first one if processes are still to be started.

    Args:
        accelerator: The trainer's option: `auto` takes CUDA, then MPS, then the CPU.
        devices: The trainer's option; a list, or text such as `1,3`, names GPUs by index.
    """
    if accelerator in (AUTO, "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", _gpu_index(devices))
    if accelerator in (AUTO, "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def choose_precision(device: torch.device) -> PrecisionChoice:
    """Return the precision in which a device trains fast, by a short measurement on it.

    bf16-mixed where the device computes in bfloat16, 16-mixed (with a gradient scaler) on CUDA devices before Ampere,
    32-true elsewhere. The environment variable `LIGHTSEG_PRECISION` decides instead, if it is set: a precision, and
    behind a colon the reason for it.

    Args:
        device: A CUDA, MPS or CPU device.
    """
    precision, _, reason = os.environ.get(environment.PRECISION, AUTO).partition(":")
    if precision != AUTO:
        _require_available(precision, device, environment.PRECISION)
        return PrecisionChoice(precision, reason or f"set by {environment.PRECISION}")
    if device.type not in ("cpu", "cuda"):
        return PrecisionChoice(FLOAT32, f"the choice on {device.type}")
    is_cuda = device.type == "cuda"
    is_old = is_cuda and torch.cuda.get_device_capability(device) < (8, 0)
    half, name = (torch.float16, "16-mixed") if is_old else (torch.bfloat16, "bf16-mixed")
    speedup = measure_speedup(device, half)
    is_worth_it = speedup >= (_WORTH_ON_CUDA if is_cuda else _WORTH_ON_CPU)
    return PrecisionChoice(name if is_worth_it else FLOAT32, _compare(half, speedup, device))


def check_precision(precision: Any, device: torch.device, option: str = "trainer.precision") -> PrecisionChoice:
    """Return a stated precision; the reason is empty, or a warning where it is slow on a device.

    Args:
        precision: Lightning's name of it; None is 32-true.
        device: A CUDA, MPS or CPU device.
        option: The option that states it, for messages.

    Raises:
        ConfigError: If there is no such precision, or the device does not have it.
    """
    name = FLOAT32 if precision is None else str(precision)
    _require_available(name, device, option)
    half = torch.bfloat16 if name in _BFLOAT16 else torch.float16 if name in _FLOAT16 else None
    if half is not None and device.type in ("cpu", "cuda"):
        speedup = measure_speedup(device, half)
        if speedup < 1 / _SLOW:
            advice = f"`--{option} auto` takes what is fast"
            return PrecisionChoice(name, f"{_compare(half, speedup, device)}; {advice}")
    return PrecisionChoice(name, "")


def require_kept(precision: str, device: torch.device, folder: object) -> None:
    """Require that a device has the precision that a run was begun with.

    Args:
        precision: Lightning's name of it.
        device: A CUDA, MPS or CPU device.
        folder: The run folder, for messages.

    Raises:
        ConfigError: If there is no such precision, or the device does not have it.
    """
    _require_available(precision, device, f"--resume {folder}", "this run was begun in it: resume it on one")


def limit_threads(processes: int = 1) -> dict[str, str]:
    """Let torch use no more threads than the control group's quota has cores; `OMP_NUM_THREADS` decides otherwise.

    torch counts the cores that a container sees, not the share of them that it may use, and threads beyond that wait
    for each other.

    Args:
        processes: Training processes that share the cores of this machine.

    Returns:
        Environment variables by which the other processes, and Lightning in this one, keep to the limit.
    """
    threads = max(1, usable_cores() // processes)
    if "OMP_NUM_THREADS" in os.environ or torch.get_num_threads() <= threads:
        return {}
    torch.set_num_threads(threads)
    return {"OMP_NUM_THREADS": str(threads)}


@lru_cache
def measure_speedup(device: torch.device, half: torch.dtype) -> float:
    """Return how much faster a device trains a small convolutional block under autocast than in float32.

    On a CPU the time is that of one thread on the processor, so that other work on the machine does not disturb it.
    The global random generators are left as they are.

    Args:
        device: A CPU or CUDA device.
        half: Type that autocast computes in.
    """
    channels, size, batch = (64, 32, 4) if device.type == "cpu" else (128, 64, 32)
    threads = torch.get_num_threads()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        layers = [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        net = nn.Sequential(*layers, nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        net.to(device).to(memory_format=torch.channels_last)
        images = torch.randn(batch, channels, size, size, device=device).to(memory_format=torch.channels_last)

        def step(dtype: torch.dtype) -> None:
            with torch.autocast(device.type, half, enabled=dtype == half):
                output = net(images)
            output.float().mean().backward()

        try:
            if device.type == "cpu":
                torch.set_num_threads(1)
            for dtype in (torch.float32, half):
                step(dtype)
            pairs = [(_seconds(step, torch.float32, device), _seconds(step, half, device)) for _ in range(2)]
        finally:
            torch.set_num_threads(threads)
    full_seconds, half_seconds = map(min, zip(*pairs, strict=True))
    return float(full_seconds / half_seconds)


def _seconds(step: Callable[[torch.dtype], None], dtype: torch.dtype, device: torch.device) -> float:
    """Return the seconds of one step: of this thread on a CPU, of the device's queue on a GPU."""
    if device.type == "cpu":
        start = time.thread_time()
        step(dtype)
        return time.thread_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    step(dtype)
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _require_available(
    name: str, device: torch.device, key: str, advice: str = "on a CPU use auto, bf16-mixed or 32-true"
) -> None:
    """Raise `ConfigError` if Lightning has no such precision, or takes another one for it on a CPU, with a warning."""
    if name not in _PRECISIONS:
        raise ConfigError(f"{key}: must be one of {', '.join(_PRECISIONS)}, got {name}")
    if device.type == "cpu" and name in _FLOAT16:
        raise ConfigError(f"{key}: {name} needs a GPU; {advice}")


def _compare(half: torch.dtype, speedup: float, device: torch.device) -> str:
    name = "bfloat16" if half == torch.bfloat16 else "float16"
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "this CPU"
    if speedup < 1:
        return f"{name} is {1 / speedup:.1f} × slower than float32 on {place}"
    return f"{name} is {speedup:.1f} × as fast as float32 on {place}"


def _gpu_index(devices: Any) -> int:
    """Return the index of this process's GPU: the one that `devices` names for its rank; a number names none."""
    if isinstance(devices, str) and "," in devices:
        devices = [int(index) for index in devices.split(",") if index.strip().isdecimal()]
    rank = environment.local_rank()
    is_named = isinstance(devices, Sequence) and not isinstance(devices, str) and rank < len(devices)
    return int(devices[rank]) if is_named else rank
