"""Start of a run in its folder: a new folder with the records of the start, or an old one made ready."""

import os
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import lightning as L

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.distributed import environment, supervision
from lightseg.errors import StoppedError
from lightseg.files.atomic import locked
from lightseg.files.names import FINDINGS
from lightseg.files.printable import printable
from lightseg.loggers.view_logger import ViewLogger
from lightseg.runs import folder as run_folders
from lightseg.runs.environment import describe
from lightseg.training.checks import check_run
from lightseg.training.find import Findings, write_findings
from lightseg.training.find import describe as describe_findings
from lightseg.training.resume import prepare_resume, require_same_data
from lightseg.training.starting_point import take_starting_point
from lightseg.training.teacher import check_teacher


def open_run(
    cli: LightsegCLI,
    trainer: L.Trainer,
    args: Sequence[str],
    resumed: Path | None,
    findings: Findings,
    stack: ExitStack,
) -> tuple[Path, Path | None]:
    """Check the run, then make its folder, or make the folder of a resumed run ready.

    Args:
        cli: The parsed recipe.
        trainer: The trainer.
        args: The command line.
        resumed: The run folder to resume; None for a new run.
        findings: Settings of the recipe that were searched.
        stack: Holds the lock of the folder, and removes the folder if the start fails.

    Returns:
        The run folder, and the checkpoint to resume from, if there is one.
    """
    if resumed:
        stack.enter_context(locked(resumed))
    start = take_starting_point(cli, resumed)
    cost = check_run(cli, trainer, start.lineage)
    teacher = check_teacher(cli, start.teacher) if start.teacher else None
    view_loggers = [logger for logger in trainer.loggers if isinstance(logger, ViewLogger)]
    for logger in view_loggers:
        logger.prepare()
    command, fingerprint = shlex.join(["python", "-m", "lightseg.fit", *args]), cli.datamodule.fingerprint()
    checkpoint = None
    if start.extension:
        require_same_data(f"--extend {start.extension.folder}", start.extension.folder, fingerprint)
        checkpoint = start.extension.checkpoint
    if resumed:
        folder = resumed
        checkpoint = prepare_resume(folder, cli.resolved_values(), fingerprint, command) or checkpoint
    else:
        folder = _create(cli, trainer, stack)
        # before the last record of the start, after which the other runs of a series read it
        write_findings(folder, findings)
        records = {"teacher": teacher.record} if teacher else {}
        describe(folder, cli.resolved_config(), command, fingerprint, {**cost, **start.lineage, **records})
    for logger in view_loggers:
        logger.attach(folder)
    lines = [_summary(cli, cost, folder), describe_findings(findings), *start.lines, teacher.text if teacher else ""]
    lines.append(_describe_batch_losses(cli, trainer))
    print(*map(printable, filter(None, lines)), sep="\n", flush=True)
    stack.enter_context(environment.inherited(_variables(cli, folder, resumed)))
    return folder, checkpoint


def _variables(cli: LightsegCLI, folder: Path, resumed: Path | None) -> dict[str, str]:
    """Return the environment variables for the processes that this one starts."""
    return {
        environment.RESUMED: str(resumed or ""),
        environment.PRECISION: cli.precision.precision,
        environment.FINDINGS: str(folder / FINDINGS),
    }


def has_begun(folder: Path, trainer: L.Trainer) -> bool:
    """Return whether a run has taken a step, now or before it was resumed."""
    return trainer.global_step > 0 or any((folder / "checkpoints").glob("*")) or (folder / "metrics.jsonl").exists()


def _create(cli: LightsegCLI, trainer: L.Trainer, stack: ExitStack) -> Path:
    """Make a run folder and lock it; return it."""
    # the next run of this process has another name
    folder = run_folders.create(cli.config.runs_dir, cli.config.name, os.environ.pop(environment.RUN_NAME, None))
    # the lock is released first, then the folder of a failed start is removed
    stack.push(partial(_discard_failed_start, folder, trainer))
    stack.enter_context(locked(folder))
    supervision.BEFORE_KILL.callback(_discard_unless_begun, folder, trainer)
    stack.callback(supervision.BEFORE_KILL.pop_all)
    return folder


def _discard_failed_start(
    folder: Path,
    trainer: L.Trainer,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _trace: TracebackType | None,
) -> None:
    """Remove a run folder in which nothing has been trained, unless a signal ended the run."""
    if error is not None and not isinstance(error, StoppedError):
        _discard_unless_begun(folder, trainer)


def _discard_unless_begun(folder: Path, trainer: L.Trainer) -> None:
    if not has_begun(folder, trainer):
        run_folders.discard(folder)


def _summary(cli: LightsegCLI, cost: dict[str, Any], folder: Path) -> str:
    """Return the line that says what will be trained, with the options that a swapped optimizer keeps."""
    name, options, task, optimizer = "AdamW", {}, cli.model, cli.config.model.init_args.optimizer
    if optimizer is not None:
        name, options = optimizer.class_path.rpartition(".")[2], optimizer.init_args.as_dict()
    settings = [f"{option} {options[option]}" for option in ("lr", "momentum", "weight_decay") if option in options]
    schedule = cli.config.model.init_args.schedule
    schedule_name = schedule.class_path.rpartition(".")[2] if schedule else type(task.schedule).__name__
    fine_tuning = [str(option) for option in (task.layer_decay, task.frozen_stages, task.adapters) if option]
    return (
        f"{type(task.net).__name__}, {cost['parameters'] / 1e6:.2f} M parameters, {cost['gflops']:.2f} GFLOPs for "
        f"{'×'.join(map(str, cost['input']))}; {', '.join([name, *settings])}; "
        f"{'; '.join([schedule_name, *fine_tuning, str(cli.precision)])}; in {folder}"
    )


def _describe_batch_losses(cli: LightsegCLI, trainer: L.Trainer) -> str:
    """Return the remark on losses whose mean depends on how a step is divided into batches; empty without one."""
    losses = ", ".join(cli.model.loss.batch_losses)
    if not losses or trainer.world_size * trainer.accumulate_grad_batches == 1:
        return ""
    return (
        f"model.loss: {losses}: is a mean over each batch of a process, not over the step; for that, subclass "
        "lightseg.losses.PixelLoss or ClassLoss"
    )
