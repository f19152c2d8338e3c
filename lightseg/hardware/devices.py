"""Device of the training: type, fast precision, and number of threads."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from lightseg.distributed import environment
from lightseg.errors import ConfigError
from lightseg.files.disk_cache import warn_on_rank_zero
from lightseg.hardware.cpu import OMP_THREADS, openmp_threads, usable_cores
from lightseg.hardware.precision_names import AUTO, FLOAT32, canonical_precision
from lightseg.hardware.speedup import Speedup, find_speedup

_WORTH_ON_CPU = 1.2
"""Least speed-up for bfloat16 on a CPU."""
_WORTH_ON_CUDA = 0.9
"""Least speed-up for bfloat16 on a GPU, where it also halves the memory of activations."""
_SLOW = 1.5
"""Least slowdown for a warning about an explicit precision."""

_FLOAT16 = ("16-mixed", "16-true")

_TYPES = {
    "64-true": torch.float64,
    **dict.fromkeys(_FLOAT16, torch.float16),
    **dict.fromkeys(("bf16-mixed", "bf16-true"), torch.bfloat16),
}
"""Type in which a precision computes, where its speed can be measured."""
_PRECISIONS = (AUTO, FLOAT32, *_TYPES, "transformer-engine", "transformer-engine-float16")


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
    """Return the device that Lightning will assign to this process; the first one before the others are started.

    Args:
        accelerator: The trainer's option: `auto` takes CUDA, then MPS, then the CPU.
        devices: The trainer's option; a list, or text such as `1,3`, names GPUs by index.
    """
    if accelerator in (AUTO, "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", _gpu_index(devices))
    if accelerator in (AUTO, "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def require_accelerator(accelerator: Any) -> None:
    """Require that this machine has the accelerator of a recipe.

    Args:
        accelerator: The trainer's option.

    Raises:
        ConfigError: If it is a kind of GPU that torch does not find.
    """
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    available = {"gpu": has_cuda or has_mps, "cuda": has_cuda, "mps": has_mps}
    if isinstance(accelerator, str) and not available.get(accelerator, True):
        is_built = torch.backends.mps.is_built() if accelerator == "mps" else torch.backends.cuda.is_built()
        reason = "finds no such device on this machine" if is_built else "is built without support of it"
        raise ConfigError(
            f"trainer.accelerator: {accelerator} is not available (torch {torch.__version__} {reason}); "
            "set trainer.accelerator: cpu, or auto for the best device of this machine"
        )


def choose_precision(device: torch.device) -> PrecisionChoice:
    """Return the precision in which a device trains fast, by a short measurement on it that the cache keeps.

    bf16-mixed where the device computes in bfloat16, 16-mixed (with a gradient scaler) on CUDA devices before Ampere,
    32-true elsewhere. The environment variable `LIGHTSEG_PRECISION` decides instead, if it is set: a precision, and
    behind a colon the reason for it.

    Args:
        device: A CUDA, MPS or CPU device.
    """
    variable, _, reason = os.environ.get(environment.PRECISION, "").partition(":")
    if variable not in ("", AUTO):
        name = canonical_precision(variable)
        require_precision(name, device, environment.PRECISION)
        slowness = describe_slowness(name, device)
        advice = "" if reason or not slowness else f"; unset {environment.PRECISION} to take what is fast"
        return PrecisionChoice(name, _join(reason or f"set by {environment.PRECISION}", slowness) + advice)
    if device.type not in ("cpu", "cuda"):
        return PrecisionChoice(FLOAT32, f"the choice on {device.type}")
    is_cuda = device.type == "cuda"
    is_old = is_cuda and torch.cuda.get_device_capability(device) < (8, 0)
    half, name = (torch.float16, "16-mixed") if is_old else (torch.bfloat16, "bf16-mixed")
    speedup, threshold = find_speedup(device, half), _WORTH_ON_CUDA if is_cuda else _WORTH_ON_CPU
    comparison = f"{speedup.ratio:.2f} × as fast as float32 on {_place(device)}, threshold {threshold}"
    choice = name if speedup.ratio >= threshold else FLOAT32
    return PrecisionChoice(choice, f"{_type_name(half)} is {comparison}{_earlier(speedup)}")


def check_precision(precision: Any, device: torch.device, option: str = "trainer.precision") -> PrecisionChoice:
    """Return an explicit precision; the reason is empty, or a warning if it is slow on the device.

    Args:
        precision: Lightning's name of it, or an alias; None is 32-true.
        device: A CUDA, MPS or CPU device.
        option: The option that sets it, for messages.

    Raises:
        ConfigError: If there is no such precision, or the device does not have it.
    """
    name = canonical_precision(precision)
    require_precision(name, device, option)
    slowness = describe_slowness(name, device)
    return PrecisionChoice(name, f"{slowness}; `--{option} auto` takes what is fast" if slowness else "")


def keep_precision(precision: str, device: torch.device, folder: object) -> PrecisionChoice:
    """Return the precision that a run was begun with, with a warning where it is slow on a device.

    Args:
        precision: Lightning's name of it.
        device: A CUDA, MPS or CPU device.
        folder: The run folder, for messages.

    Raises:
        ConfigError: If there is no such precision, or the device does not have it.
    """
    require_precision(precision, device, f"--resume {folder}", "resume it on a machine with one")
    return PrecisionChoice(precision, _join("kept from the run", describe_slowness(precision, device)))


def require_precision(
    name: str, device: torch.device, key: str, advice: str = "set bf16-mixed, 32-true or auto"
) -> None:
    """Require that there is such a precision, and that a device has it; Lightning takes another one on a CPU.

    Args:
        name: Canonical name of the precision.
        device: A CUDA, MPS or CPU device.
        key: Option, variable or run folder that states it, for messages.
        advice: The fix where the device does not have it.

    Raises:
        ConfigError: If there is no such precision, or the device does not have it.
    """
    require_precision_name(name, key)
    if device.type == "cpu" and name in _FLOAT16:
        reason = "the device is set to the CPU" if torch.cuda.is_available() else "torch finds none on this machine"
        raise ConfigError(f"{key}: {name} needs a GPU, and {reason}; {advice}")


def require_precision_name(name: str, key: str) -> None:
    """Require that there is such a precision.

    Raises:
        ConfigError: If not.
    """
    if name not in _PRECISIONS:
        raise ConfigError(f"{key}: must be one of {', '.join(_PRECISIONS)}, got {name}")


def describe_slowness(precision: str, device: torch.device) -> str:
    """Return how much slower than float32 a precision is on a device; empty if it is not much slower.

    Args:
        precision: Canonical name of it.
        device: A CUDA, MPS or CPU device.
    """
    dtype = _TYPES.get(precision)
    if dtype is None or device.type not in ("cpu", "cuda"):
        return ""
    speedup = find_speedup(device, dtype)
    if speedup.ratio > 1 / _SLOW:
        return ""
    return f"{_type_name(dtype)} is {1 / speedup.ratio:.1f} × slower than float32 on {_place(device)}"


def limit_threads(processes: int = 1) -> dict[str, str]:
    """Let torch use no more threads than the control group's quota has cores; `OMP_NUM_THREADS` decides otherwise.

    torch counts all visible cores of a container instead of its quota; threads beyond the quota wait for each other.
    An invalid `OMP_NUM_THREADS` is removed from the environment, with a warning.

    Args:
        processes: Training processes that share the cores of this machine.

    Returns:
        Environment variables by which the other processes, and Lightning in this one, keep to the limit.
    """
    threads = max(1, usable_cores() // processes)
    value = os.environ.get(OMP_THREADS)
    if value is not None and openmp_threads() is None:
        del os.environ[OMP_THREADS]
        warn_on_rank_zero(
            f"{OMP_THREADS}: must be a whole number from 1 on, got {value[:40]!r}; ignored, as if it were not set"
        )
    if OMP_THREADS in os.environ or torch.get_num_threads() <= threads:
        return {}
    torch.set_num_threads(threads)
    return {OMP_THREADS: str(threads)}


def _place(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "this CPU"


def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _earlier(speedup: Speedup) -> str:
    return f", measured earlier, on {speedup.date}" if speedup.date else ""


def _join(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _gpu_index(devices: Any) -> int:
    """Return the index of this process's GPU: the one that `devices` names for its rank; a number names none."""
    if isinstance(devices, str) and "," in devices:
        devices = [int(index) for index in devices.split(",") if index.strip().isdecimal()]
    rank = environment.local_rank()
    is_named = isinstance(devices, Sequence) and not isinstance(devices, str) and rank < len(devices)
    return int(devices[rank]) if is_named else rank
