"""A run from beginning to end: build, check, train, load the best again, test, report."""

import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from jsonargparse import Namespace
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint

from lightseg import checkpoint, run
from lightseg.callbacks import EpochLines, Interrupt, LastCheckpoint, NonFiniteGuard, Throughput
from lightseg.cli import LightsegCLI
from lightseg.data import ImageDataModule, Split
from lightseg.errors import ConfigError, RunError
from lightseg.loggers import RunLog, Wandb
from lightseg.report import report
from lightseg.tasks import Task

TOLERANCE = 1e-4
"""How far the re-loaded checkpoint's score may be from the logged one; kernels on a GPU need not repeat exactly."""


def fit(args: list[str]) -> None:
    """Train what the command line asks for.

    Raises:
        UserError: If the recipe or the data is wrong.
        RunError: If the training diverges, or the best checkpoint does not give its number back.
        KeyboardInterrupt: If the user stopped it; the last checkpoint is written.
    """
    _hush_lightning()
    cli = LightsegCLI(args)
    best, last, log = ModelCheckpoint(monitor="val/score", mode="max", filename="best"), LastCheckpoint(), RunLog(None)
    trainer = cli.make_trainer(
        [EpochLines(), Throughput(), Interrupt(), NonFiniteGuard(), LearningRateMonitor("step"), best, last], [log]
    )
    data, task = cli.datamodule, cli.model
    data.check_batch_size(trainer.world_size, trainer.accumulate_grad_batches)
    command = shlex.join(["python", "-m", "lightseg.fit", *args])
    folder = _prepare(cli, trainer, command) if trainer.is_global_zero else None
    if folder is not None:
        log.folder, last.path, best.dirpath = folder, folder / "checkpoints" / "last.ckpt", str(folder / "checkpoints")
    started = time.monotonic()
    with _ended(trainer, folder):
        trainer.fit(task, datamodule=data)
        results = {"train/seconds": time.monotonic() - started, "train/steps": trainer.global_step}
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        tested = checkpoint.load(best.best_model_path or trainer.strategy.broadcast(str(last.path)))
        results |= _score(trainer, tested, data, logged=best.best_model_score)
        if folder is not None:
            which = "best" if best.best_model_path else "last"
            report(folder, tested, which, data, results, trainer.loggers)


def _prepare(cli: LightsegCLI, trainer: L.Trainer, command: str) -> Path:
    """Check data and net and make the run folder; nothing is left behind where something is wrong."""
    data, task = cli.datamodule, cli.model
    data.prepare_data()
    data.check()
    data.check_training()
    task.follow(data)
    task.try_on(data.train_sample())
    text = cli.resolved_config()
    config = yaml.safe_load(text)
    task.recipe = checkpoint.recipe(config, data.classes, data.in_channels, data.palette)
    # a task that cannot be built from its recipe could not be loaded when the training is over
    checkpoint.build({**task.recipe, "resolved": task.resolved}, "the checkpoint of this recipe")
    folder = run.create(cli.config.runs_dir, cli.config.name)
    run.describe(folder, text, command, data.fingerprint())
    for logger in trainer.loggers:
        if isinstance(logger, Wandb):
            logger.attach(folder)
            logger.log_config(config)
    print(_summary(cli.config.model.init_args.optimizer, task, folder))
    return folder


def _summary(optimizer: Namespace | None, task: Task, folder: Path) -> str:
    """What is about to be trained: swapping a class keeps the options that both have, so show those that matter."""
    parameters = sum(parameter.numel() for parameter in task.parameters())
    name, options = "AdamW", {}
    if optimizer is not None:
        name, options = optimizer.class_path.rpartition(".")[2], optimizer.init_args.as_dict()
    shown = [f"{option} {options[option]}" for option in ("lr", "momentum", "weight_decay") if option in options]
    return (
        f"{type(task.net).__name__}, {parameters / 1e6:.2f} M parameters; {', '.join([name, *shown])}; "
        f"{type(task.schedule).__name__}; in {folder}"
    )


@contextmanager
def _ended(trainer: L.Trainer, folder: Path | None) -> Iterator[None]:
    """End what the run began, however it ends; the last line says where it is."""
    loggers = list(trainer.loggers)
    failed = 1
    try:
        yield
        failed = 0
    except SystemExit:
        # what Lightning makes of Ctrl-C once its callbacks have saved the state
        raise KeyboardInterrupt from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "data.batch_size: one image per process leaves BatchNorm nothing to average in this net; "
            "give 2 or more per process, or take a net without it (UNet: --model.net.norm group)"
        ) from None
    finally:
        for logger in loggers:
            if isinstance(logger, Wandb):
                logger.finish(exit_code=failed)
        if folder is not None:
            print(f"run: {folder}", flush=True)


def _score(trainer: L.Trainer, task: Task, data: ImageDataModule, logged: Any) -> dict[str, float]:
    """Score a re-loaded checkpoint: val, which must agree with what was logged in training, then test, once.

    Raises:
        RunError: If the checkpoint does not give back the score that it was chosen for.
    """
    # what belongs to the training, such as averaged weights, must not touch the loaded task
    loggers, trainer.loggers = trainer.loggers, []
    trainer.callbacks = [bar for bar in (trainer.progress_bar_callback,) if bar]  # type: ignore[attr-defined]
    results: dict[str, float] = {}
    splits: list[tuple[Split, Any]] = [("val", trainer.validate), ("test", trainer.test)]
    for split, evaluate in splits:
        if len(data.dataset(split)) and getattr(trainer, f"limit_{split}_batches") != 0:
            evaluate(task, datamodule=data, verbose=False)
            scores = task.scores(task.counts[split])
            results |= {f"{split}/{name}": value for name, value in scores.items()}
            results[f"{split}/loss"] = float(trainer.callback_metrics[f"{split}/loss"])
    # written so that a score that is not a number fails too
    if logged is not None and not abs(results["val/score"] - float(logged)) <= TOLERANCE:
        raise RunError(
            f"the best checkpoint scores {results['val/score']:.6f} on val when loaded again, but {float(logged):.6f} "
            "was logged in training: its numbers cannot be trusted. Does the net keep state outside its state_dict?"
        )
    trainer.loggers = loggers
    return results


def _hush_lightning() -> None:
    """Leave warnings, drop the advice about products and devices that Lightning prints at every start."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
