"""Trainer of a run: that of Lightning, with the callbacks of every run, and checks of the recipe's callbacks."""

import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    ProgressBar,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightseg.callbacks.bar import Bar
from lightseg.callbacks.lookahead import Lookahead
from lightseg.checkpoint.io import AtomicCheckpointIO
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.cli.parser import as_list
from lightseg.config.class_errors import is_user_class, reason
from lightseg.distributed import environment, startup
from lightseg.distributed.lightning_compat import disable_signal_exchange
from lightseg.distributed.strategies import FSDP, enable_bucket_view
from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.hardware.devices import require_accelerator
from lightseg.loggers.view_logger import ViewLogger
from lightseg.tasks import Task
from lightseg.tasks.compilation import check_graphs


def make_trainer(
    cli: LightsegCLI, first: list[L.Callback], callbacks: list[L.Callback], loggers: list[Any]
) -> L.Trainer:
    """Return the trainer of a recipe, with more callbacks and loggers than the recipe has.

    Args:
        cli: The parsed recipe.
        first: Callbacks that run before those of the recipe.
        callbacks: Callbacks that run after them.
        loggers: Loggers.

    Raises:
        ConfigError: If a callback cannot be used, or the machine lacks a device or precision of the recipe.
    """
    config = cli.config_init.trainer
    require_accelerator(config.accelerator)
    recipe_callbacks = as_list(config.callbacks)
    for callback in recipe_callbacks:
        _check_monitor(callback, cli.model, recipe_callbacks)
        _check_callback(callback, config.strategy)
    check_graphs(cli.model.compiled, config.accumulate_grad_batches)
    # a bar on a terminal; where the output goes to a file, EpochPrinter prints lines
    has_bar = sys.stdout.isatty() if config.enable_progress_bar is None else config.enable_progress_bar
    is_bar_missing = has_bar and not any(isinstance(callback, ProgressBar) for callback in recipe_callbacks)
    recipe_loggers = config.logger if isinstance(config.logger, list) else [config.logger]
    _require_different_loggers(recipe_loggers)
    enable_bucket_view()
    try:
        plugins = as_list(config.plugins)
        trainer: L.Trainer = cli.instantiate_trainer(
            callbacks=[*first, *recipe_callbacks, *callbacks, *([Bar()] if is_bar_missing else [])],
            logger=loggers + [logger for logger in recipe_loggers if not isinstance(logger, bool | None)],
            enable_progress_bar=has_bar,
            plugins=[*plugins, *startup.slurm_without_requeue(plugins), AtomicCheckpointIO()],
            default_root_dir=config.default_root_dir or str(Path(cli.config.runs_dir) / cli.config.name),
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        if "interactive environment" in str(error):
            raise ConfigError(startup.NO_FILE) from None
        raise ConfigError(f"trainer: {reason(error)}") from error
    except KeyError as error:
        raise environment.explain_missing_variable(error) or error from None
    _check_launcher(trainer, config.strategy)
    startup.check_processes(trainer)
    if trainer.overfit_batches and trainer.world_size > 1:  # type: ignore[attr-defined]
        raise ConfigError("trainer.overfit_batches: every process would get the same batches; set trainer.devices: 1")
    disable_signal_exchange(trainer)
    return trainer


def _require_different_loggers(loggers: list[Any]) -> None:
    """Refuse two loggers that show the run in the same tool, which would get each number twice.

    Raises:
        ConfigError: If there are two of one class.
    """
    names = [type(logger).__name__ for logger in loggers if isinstance(logger, ViewLogger)]
    repeated = next((name for name in names if names.count(name) > 1), None)
    require(repeated is None, f"trainer.logger: {repeated} is named twice; leave one of them out")


_TRAINING_METRICS = ("train/loss", "train/images_per_s", "train/skipped_steps")
"""Metrics of the training that a callback can watch."""


def _check_launcher(trainer: L.Trainer, strategy: Any) -> None:
    """Refuse strategies that train in forked or spawned children, which do not return their scores.

    Args:
        trainer: The trainer.
        strategy: The strategy of the recipe.
    """
    launcher = trainer.strategy.launcher
    # a launcher of whole processes knows how they find each other
    if launcher is not None and not hasattr(launcher, "cluster_environment"):
        raise ConfigError(
            f"trainer.strategy: {strategy} trains in spawned or forked children, which leave no "
            "scores behind; run `python -m lightseg.fit` with ddp, which starts whole processes, or trainer.devices: 1"
        )


def _check_monitor(callback: L.Callback, task: Task, callbacks: list[L.Callback]) -> None:
    """Check the metric of a callback and its mode before training; Lightning does so after the first epoch.

    Args:
        callback: The callback that may watch a metric.
        task: The task that logs metrics.
        callbacks: All callbacks of the recipe; a user's class may log more metrics.

    Raises:
        ConfigError: If the metric is not logged, or the mode is wrong for it.
    """
    monitor = getattr(callback, "monitor", None)
    if not isinstance(monitor, str):
        return
    size = len(task.classes)
    metrics = [f"val/{name}" for name in ("loss", *task.scores(torch.zeros(size, size, dtype=torch.int64)))]
    kind = type(callback).__name__
    if not monitor.startswith("val/"):
        if monitor in _TRAINING_METRICS or any(is_user_class(type(item)) for item in (task, *callbacks)):
            return
        metrics += _TRAINING_METRICS
    if monitor not in metrics:
        raise ConfigError(f"{kind}: nothing is logged as '{monitor}'{did_you_mean(monitor, metrics, len(metrics))}")
    mode = "min" if monitor == "val/loss" else "max"
    if getattr(callback, "mode", mode) != mode:
        raise ConfigError(f"{kind}: {monitor} is better {'low' if mode == 'min' else 'high'}; set mode: {mode}")


_REFUSED = {
    GradientAccumulationScheduler: "the batch stays the same; trainer.accumulate_grad_batches says how it is shared",
    StochasticWeightAveraging: "take lightseg.callbacks.EMA",
    LearningRateFinder: "the rate of a short trial is not the recipe's; try several by --model.optimizer.lr",
    BatchSizeFinder: "the batch is the recipe's; trainer.accumulate_grad_batches makes it fit the memory",
    BaseFinetuning: "take model.freeze_encoder and model.encoder_lr_factor",
}
"""Callbacks that change the training in ways that cannot be resumed, and the options to use instead."""


def _check_callback(callback: L.Callback, strategy: Any) -> None:
    """Refuse a callback that cannot be resumed, or that does not work with the strategy.

    Args:
        callback: The callback.
        strategy: The strategy of the recipe.

    Raises:
        ConfigError: If the callback is refused; the message has the option to use instead.
    """
    name = type(callback).__name__
    for refused, instead in _REFUSED.items():
        if isinstance(callback, refused):
            raise ConfigError(f"{name}: {instead}")
    if isinstance(callback, ModelCheckpoint) and callback.save_last:
        raise ConfigError(f"{name}: leave save_last out: last.ckpt is written anyway, and --resume goes on from it")
    if isinstance(callback, WeightAveraging | Lookahead) and isinstance(strategy, FSDP):
        raise ConfigError(f"{name} cannot average a net that is shared between devices: take strategy ddp")
