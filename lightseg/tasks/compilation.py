"""`torch.compile` of a net for training, and the folder that keeps its kernels."""

import contextlib
import os
from typing import Literal

import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.files.disk_cache import cache_dir
from lightseg.hardware.cpu import instruction_set

Mode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
"""The modes of `torch.compile`."""

_GRAPHS: tuple[Mode, ...] = ("reduce-overhead", "max-autotune")


def compile_net(net: nn.Module, mode: bool | Mode) -> None:
    """Compile a net in place when it is called first; the kernels stay in the user's cache folder for the next start.

    Args:
        net: The net; in place, since wrapping would put `_orig_mod.` into every key of its checkpoint.
        mode: A mode of `torch.compile`; `True` is the default one, `False` none.
    """
    if not mode:
        return
    # kernels of another instruction set crash: torch finds them by what they compute alone, and homes may be shared
    processor = f"{torch.backends.cpu.get_cpu_capability()}-{instruction_set()}"
    kernels = cache_dir() / "inductor" / processor
    with contextlib.suppress(OSError):
        kernels.mkdir(parents=True, exist_ok=True)
    # a folder that cannot be written to, or is another user's, leaves torch its own choice, a temporary one
    if os.access(kernels, os.W_OK):
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(kernels))
    net.compile(mode="default" if mode is True else mode)


def uses_graphs(mode: bool | Mode) -> bool:
    """Return whether the kernels of a step are recorded as CUDA graphs, which reuse the same memory every step."""
    return mode in _GRAPHS


def check_graphs(mode: bool | Mode, accumulate: int) -> None:
    """Refuse what CUDA graphs cannot do.

    Args:
        mode: A mode of `torch.compile`.
        accumulate: Batches per optimiser step.

    Raises:
        ConfigError: If gradients are to be accumulated, which a graph would write over with those of the next batch.

    Source: https://github.com/pytorch/pytorch/issues/169545.
    """
    if uses_graphs(mode) and accumulate > 1:
        raise ConfigError(
            f"model.compile: {mode} records CUDA graphs, in which each batch's gradients overwrite those of the batch "
            "before; set trainer.accumulate_grad_batches: 1, or take model.compile: default"
        )
