"""The machine that a table is of, and the precision that `auto` takes on it."""

import os
import platform
from importlib import metadata

import torch

import lightseg
from lightseg.hardware.cpu import processor_name, usable_cores
from lightseg.hardware.devices import choose_precision, training_device

KERNELS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""Environment variables that force the kernels of a lesser processor."""

PACKAGES = ("torch", "lightning", "segmentation-models-pytorch", "albumentations")


def resolve_precision(precision: str) -> tuple[str, str]:
    """Return the precision to measure in, and the reason for it; `auto` is resolved as `fit` does."""
    if precision != "auto":
        return precision, "as stated"
    choice = choose_precision(training_device())
    return choice.precision, choice.reason


def describe(precision: str, reason: str) -> str:
    """Return hardware, precision and versions."""
    gpu = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if torch.cuda.is_available() else "no GPU"
    forced = "".join(f", {name}={os.environ[name]}" for name in KERNELS if name in os.environ)
    packages = f"Python {platform.python_version()}, lightseg {lightseg.__version__}, "
    packages += ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    kernels = f"{torch.backends.cpu.get_cpu_capability()}{forced}"
    return (
        f"Hardware: {usable_cores()} cores of {processor_name()} (kernels: {kernels}), {gpu}. "
        f"Precision: {precision} ({reason}). Versions: {packages}."
    )
