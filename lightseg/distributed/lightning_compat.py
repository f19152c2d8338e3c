"""All uses of Lightning's private API, and the replacements that reduce its overhead per step; each has a test.

In every step Lightning calls about seventy hooks, of which a dozen are implemented, formats a message for its debug log
and its profiler per hook, and inspects the signature of `training_step`; torch's optimizers look for a GPU driver on
disk. For a small net, whose steps take milliseconds, this is some percent of the time.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops import training_epoch_loop
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.strategies.launchers import subprocess_script
from lightning.pytorch.trainer import call
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature

from lightseg.distributed.supervision import watch_over

_call_callbacks, _call_module, _call_strategy = (
    call._call_callback_hooks,
    call._call_lightning_module_hook,
    call._call_strategy_hook,
)


@contextmanager
def replaced_internals() -> Iterator[None]:
    """Replace private parts of Lightning and torch until the end of the block."""
    replacements: list[tuple[Any, str, Any]] = [
        # Lightning's observer kills this process at once, even while it prints its error
        (subprocess_script, "_launch_process_observer", watch_over),
        (call, "_call_callback_hooks", call_callbacks),
        (call, "_call_lightning_module_hook", call_module),
        (call, "_call_strategy_hook", call_strategy),
        (training_epoch_loop, "is_param_in_hook_signature", cache(is_param_in_hook_signature)),
    ]
    if torch.accelerator.current_accelerator(check_available=True) is None:
        # torch's optimizers ask in every step, and look for a driver on disk
        replacements.append((torch.accelerator, "current_accelerator", _do_nothing))
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    try:
        for owner, name, replacement in replacements:
            setattr(owner, name, replacement)
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _do_nothing(*_: Any, **_options: Any) -> None: ...


def call_callbacks(
    trainer: L.Trainer, hook_name: str, *args: Any, monitoring_callbacks: bool | None = None, **kwargs: Any
) -> None:
    """Call a hook of all callbacks that override it."""
    task = trainer.lightning_module
    if monitoring_callbacks is not None or task is None or _is_watched(trainer):
        _call_callbacks(trainer, hook_name, *args, monitoring_callbacks=monitoring_callbacks, **kwargs)
        return
    empty = getattr(L.Callback, hook_name)
    # faster than the __setattr__ of a module, which looks for parameters first
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
    """Return whether a profiler or a debug log records every call."""
    return type(trainer.profiler) is not PassThroughProfiler or call.log.isEnabledFor(logging.DEBUG)  # type: ignore[attr-defined]


def repair_resumed_progress(trainer: L.Trainer) -> None:
    """Correct the counters of the first batch after a resume.

    Whether Lightning counts the step of the checkpoint twice depends on the hook in which the checkpoint was written.
    """
    loop = trainer.fit_loop.epoch_loop
    loop._batches_that_stepped = trainer.global_step
    loop.batch_progress.total.ready = loop.batch_progress.total.completed + 1
    # else a scheduler that follows a score would not advance at the end of the first epoch
    trainer.fit_loop._restarting = False


def disable_signal_exchange(trainer: L.Trainer) -> None:
    """Keep Lightning from exchanging signals in every batch, which waits for the device; see `GracefulStop`."""
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _do_nothing  # type: ignore[method-assign]


def exchange_timeout(strategy: Strategy) -> timedelta | None:
    """Return the timeout of a strategy's process group; None for strategies without one."""
    timeout: timedelta | None = getattr(strategy, "_timeout", None)
    return timeout


def silence_lightning() -> None:
    """Hide Lightning's start-up advice about products and devices; warnings remain."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # the user asked for a profiler's report
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
