"""Agreement among the processes of a run: the trainer, the precision and the run folder to resume."""

import os
from pathlib import Path
from typing import NamedTuple

import lightning as L

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.distributed import environment, startup
from lightseg.hardware.devices import PrecisionChoice, keep_precision
from lightseg.hardware.precision_names import AUTO
from lightseg.runs import scheduler
from lightseg.runs.records import read_precision
from lightseg.training import resume
from lightseg.training.run_callbacks import RunCallbacks
from lightseg.training.trainer import make_trainer


class Agreement(NamedTuple):
    """Trainer and run folder that are the same on all processes.

    Attributes:
        trainer: The trainer.
        is_distributed: Whether the processes can already exchange data; False where Lightning starts them later.
        resumed: The run folder to resume; None for a new run.
    """

    trainer: L.Trainer
    is_distributed: bool
    resumed: Path | None


def agree(cli: LightsegCLI, callbacks: RunCallbacks) -> Agreement:
    """Make the trainer, in a precision that all processes have.

    Args:
        cli: The parsed recipe; it takes the precision.
        callbacks: The callbacks and the log of the run.

    Raises:
        ConfigError: If this machine cannot do what the recipe asks for.
    """
    trainer, is_distributed = _make_trainer(cli, callbacks)
    resumed = _find_resumed(cli, trainer, is_distributed)
    if _agree_on_precision(cli, trainer, resumed, is_distributed):
        trainer, is_distributed = _make_trainer(cli, callbacks)
    return Agreement(trainer, is_distributed, resumed)


def _make_trainer(cli: LightsegCLI, callbacks: RunCallbacks) -> tuple[L.Trainer, bool]:
    """Return the trainer, and whether its processes can exchange data."""
    trainer = make_trainer(cli, callbacks.first, callbacks.after, [callbacks.log])
    cli.datamodule.check_batch_size(trainer.world_size, trainer.accumulate_grad_batches)
    return trainer, startup.init_process_group_early(trainer, cli.model)


def _find_resumed(cli: LightsegCLI, trainer: L.Trainer, is_distributed: bool) -> Path | None:
    """Return the run folder to resume: that of `--resume`, or that of a job that its scheduler started again."""
    if cli.config.resume is not None:
        return Path(cli.config.resume).resolve()
    if environment.RESUMED in os.environ:
        # set by the process that started this one
        return Path(os.environ[environment.RESUMED]) if os.environ[environment.RESUMED] else None
    interrupted = _find_interrupted(cli) if scheduler.job() else None
    # each process looks at its own parent, so the first one decides for all
    return trainer.strategy.broadcast(interrupted) if is_distributed else interrupted


def _find_interrupted(cli: LightsegCLI) -> Path | None:
    """Return the run folder of this recipe that this job was training before its scheduler started it again."""
    config = cli.resolved_values()
    if cli.has_auto_precision:
        config = {**config, "trainer": {**config["trainer"], "precision": AUTO}}
    return resume.find_interrupted(config, Path(cli.config.runs_dir).resolve() / cli.config.name)


def _agree_on_precision(cli: LightsegCLI, trainer: L.Trainer, resumed: Path | None, is_distributed: bool) -> bool:
    """Replace `auto` by one precision on all processes: that of the resumed run, else that of the first process.

    Returns:
        Whether any process takes another precision than it chose, so that all need another trainer.
    """
    precision, reason = cli.precision
    if cli.has_auto_precision and resumed:
        precision = read_precision(resumed)
    differs = precision != cli.precision.precision
    if is_distributed:
        precision, reason = trainer.strategy.broadcast((precision, reason))
        differs = precision != cli.precision.precision
        # all processes or none make another trainer: some strategies exchange data when they are made
        differs = trainer.strategy.reduce_boolean_decision(differs, all=False)
    if not differs:
        return False
    choice = PrecisionChoice(precision, reason)
    cli.take_precision(keep_precision(precision, trainer.strategy.root_device, resumed) if resumed else choice)
    return True
