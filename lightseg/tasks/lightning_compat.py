"""Private parts of Lightning and torch that a run replaces while it trains; each has a test that fails when it changes.

Lightning calls every hook of every callback, some seventy a step of which a dozen do something, builds a message for
its log and its profiler at each call, reads the signature of `training_step` at every batch, and describes every logged
number anew; and it has torch look for a driver's library on disk whenever an optimiser asks whether there is a GPU. A
step of a small net takes milliseconds, and this a tenth of it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops import training_epoch_loop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies.launchers import subprocess_script
from lightning.pytorch.trainer import call
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from lightseg.distributed.launch import watch_over

_call_callbacks, _call_module, _call_strategy = (
    call._call_callback_hooks,
    call._call_lightning_module_hook,
    call._call_strategy_hook,
)


@contextmanager
def replaced_internals() -> Iterator[None]:
    """Replace private parts of Lightning and torch until the end of the block."""
    replacements: list[tuple[Any, str, Any]] = [
        # Lightning's own kills this process at once, even while it is saying what has happened
        (subprocess_script, "_launch_process_observer", watch_over),
        # Lightning asks in every batch whether a signal came, and waits for the device; `GracefulStop` handles it
        (_TrainingEpochLoop, "_broadcast_sigterm_tensor", _do_nothing),
        (call, "_call_callback_hooks", call_callbacks),
        (call, "_call_lightning_module_hook", call_module),
        (call, "_call_strategy_hook", call_strategy),
        (training_epoch_loop, "is_param_in_hook_signature", cache(is_param_in_hook_signature)),
    ]
    if torch.accelerator.current_accelerator(check_available=True) is None:
        # asks in every step whether a graph is being captured, which only an accelerator can; renamed in torch 2.11
        names = ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check")
        optimizer = torch.optim.Optimizer
        replacements += [(optimizer, name, _do_nothing) for name in names if hasattr(optimizer, name)]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    try:
        for owner, name, replacement in replacements:
            setattr(owner, name, replacement)
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _do_nothing(*_: Any) -> None: ...


def call_callbacks(
    trainer: L.Trainer, hook_name: str, *args: Any, monitoring_callbacks: bool | None = None, **kwargs: Any
) -> None:
    """Call a hook of all callbacks but those that inherit it from `Callback`, where it does nothing."""
    task = trainer.lightning_module
    if monitoring_callbacks is not None or task is None or _is_watched(trainer):
        _call_callbacks(trainer, hook_name, *args, monitoring_callbacks=monitoring_callbacks, **kwargs)
        return
    empty = getattr(L.Callback, hook_name)
    # a module's own __setattr__ looks for parameters first
    attributes = vars(task)
    outer, attributes["_current_fx_name"] = attributes["_current_fx_name"], hook_name
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        hook = getattr(callback, hook_name)
        if getattr(hook, "__func__", None) is not empty and callable(hook):
            hook(trainer, task, *args, **kwargs)
    attributes["_current_fx_name"] = outer


def call_module(
    trainer: L.Trainer, hook_name: str, *args: Any, pl_module: L.LightningModule | None = None, **kwargs: Any
) -> Any:
    """Call a hook of the task."""
    task = pl_module or trainer.lightning_module
    if task is None or _is_watched(trainer):
        return _call_module(trainer, hook_name, *args, pl_module=pl_module, **kwargs)
    hook = getattr(task, hook_name)
    return _call(task, hook_name, hook, *args, **kwargs) if callable(hook) else None


def call_strategy(trainer: L.Trainer, hook_name: str, *args: Any, **kwargs: Any) -> Any:
    """Call a hook of the strategy."""
    if _is_watched(trainer):
        return _call_strategy(trainer, hook_name, *args, **kwargs)
    return _call(trainer.lightning_module, hook_name, getattr(trainer.strategy, hook_name), *args, **kwargs)


def _call(task: L.LightningModule, hook_name: str, hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    attributes = vars(task)
    outer, attributes["_current_fx_name"] = attributes["_current_fx_name"], hook_name
    output = hook(*args, **kwargs)
    attributes["_current_fx_name"] = outer
    return output


def _is_watched(trainer: L.Trainer) -> bool:
    """Return whether a profiler or a debug log is to hear of every call."""
    return type(trainer.profiler) is not PassThroughProfiler or call.log.isEnabledFor(logging.DEBUG)  # type: ignore[attr-defined]


def log_step(task: L.LightningModule, name: str, value: Tensor) -> None:
    """Log a number of a training step as `task.log(name, value)` does, but faster from the second step of an epoch on.

    Args:
        task: Whose `training_step` it is called in.
        name: As in `LightningModule.log`.
        value: A float scalar.
    """
    trainer = task.trainer
    hook_name: Any = task._current_fx_name
    results, connector = trainer._results, trainer._logger_connector
    metric = results.get(f"{hook_name}.{name}") if results is not None else None
    # in the first step Lightning resets what the last epoch has logged
    is_known = metric is not None and connector._first_loop_iter is False and metric.value.device == value.device
    if not is_known or type(task).log is not L.LightningModule.log:
        task.log(name, value)
        return
    assert metric is not None
    attributes = vars(metric)
    attributes["value"] = attributes["_forward_cache"] = value.detach().clone()
    attributes["_update_count"] += 1
    attributes["_computed"], attributes["has_reset"] = None, False
    connector._current_fx = hook_name


def silence_lightning() -> None:
    """Leave warnings, drop the advice about products and devices that Lightning prints at every start."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # what a profiler says was asked for
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
