"""`torch.compile` of a net for training, and the folder that keeps its kernels."""

import contextlib
import os
from typing import Literal

import torch
from torch import nn

from lightseg.errors import ConfigError, require
from lightseg.files.disk_cache import cache_dir
from lightseg.hardware.cpu import instruction_set

CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
"""Modes of `torch.compile`."""

_GRAPHS: tuple[CompileMode, ...] = ("reduce-overhead", "max-autotune")


def compile_net(net: nn.Module, mode: bool | CompileMode) -> None:
    """Compile a net in place at its first call; kernels are cached in the user's cache folder.

    Args:
        net: The net; in place, since wrapping would put `_orig_mod.` into every key of its checkpoint.
        mode: A mode of `torch.compile`; `True` is `default`, `False` does not compile.

    Raises:
        ConfigError: If the net computes activations twice, which is for the compiler to decide.
    """
    if not mode:
        return
    require(
        not getattr(net, "grad_checkpointing", False),
        "model.net.grad_checkpointing: torch.compile decides by itself what is computed twice; leave it or "
        "model.compile out",
    )
    # a folder per instruction set: torch's cache ignores it, homes may be shared, and other kernels crash
    processor = f"{torch.backends.cpu.get_cpu_capability()}-{instruction_set()}"
    kernels = cache_dir() / "inductor" / processor
    with contextlib.suppress(OSError):
        kernels.mkdir(parents=True, exist_ok=True)
    # if the folder is not writable, or another user's, torch uses its temporary one
    if os.access(kernels, os.W_OK):
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(kernels))
    net.compile(mode="default" if mode is True else mode)


def uses_graphs(mode: bool | CompileMode) -> bool:
    """Return whether a mode records CUDA graphs, which reuse the same memory in every step."""
    return mode in _GRAPHS


def check_graphs(mode: bool | CompileMode, accumulate: int) -> None:
    """Check that CUDA graphs are not combined with gradient accumulation.

    Args:
        mode: A mode of `torch.compile`.
        accumulate: Batches per optimizer step.

    Raises:
        ConfigError: If they are; a graph overwrites the accumulated gradients with those of the next batch.

    Source: https://github.com/pytorch/pytorch/issues/169545.
    """
    if uses_graphs(mode) and accumulate > 1:
        raise ConfigError(
            f"model.compile: {mode} records CUDA graphs, in which each batch's gradients overwrite those of the batch "
            "before; set trainer.accumulate_grad_batches: 1, or take model.compile: default"
        )
