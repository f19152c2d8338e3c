"""The machine that a table is of, and the precision that `auto` takes on it."""

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

import lightseg

PACKAGES = ("torch", "lightning", "segmentation-models-pytorch", "albumentations")


def device() -> torch.device:
    """Return the device that `trainer.accelerator: auto` takes."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def resolve_precision(precision: str) -> tuple[str, str]:
    """Return the precision to measure in, and the reason for it; `auto` is resolved as `fit` does."""
    if precision != "auto":
        return precision, "as stated"
    from lightseg.devices import choose_precision

    choice = choose_precision(device())
    return choice.precision, choice.reason


def describe(precision: str, reason: str) -> str:
    """Return hardware, precision and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if torch.cuda.is_available() else "no GPU"
    forced = "".join(f", {name}={os.environ[name]}" for name in ("ONEDNN_MAX_CPU_ISA",) if name in os.environ)
    packages = f"Python {platform.python_version()}, lightseg {lightseg.__version__}, "
    packages += ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    kernels = f"{torch.backends.cpu.get_cpu_capability()}{forced}"
    return (
        f"Hardware: {cores} cores of {_processor()} (kernels: {kernels}), {gpu}. "
        f"Precision: {precision} ({reason}). Versions: {packages}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
