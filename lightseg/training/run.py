"""Run from start to end: parse, check, train, re-load the best checkpoint, score, report."""

import os
from contextlib import ExitStack
from pathlib import Path

import lightning as L
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import SingleDeviceStrategy

from lightseg.checkpoint.loading import reload
from lightseg.cli.find_option import split_find
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.config.class_errors import explained
from lightseg.data import ImageDataModule
from lightseg.distributed import environment, startup, supervision
from lightseg.distributed.lightning_compat import replaced_internals, silence_lightning
from lightseg.files.printable import printable
from lightseg.hardware.devices import limit_threads
from lightseg.hardware.malloc import disable_malloc_trim
from lightseg.hardware.precision_names import FLOAT32
from lightseg.runs.records import is_finished
from lightseg.tasks import Task
from lightseg.training import resume
from lightseg.training.agreement import Agreement, agree
from lightseg.training.ending import end_run
from lightseg.training.extension import extends
from lightseg.training.final_scores import score_checkpoint
from lightseg.training.find import Findings, as_options, find
from lightseg.training.latency import write_latency
from lightseg.training.opening import open_run
from lightseg.training.report import report
from lightseg.training.run_callbacks import RunCallbacks
from lightseg.training.starting_point import take_starting_point


def fit(args: list[str]) -> None:
    """Train the recipe of a command line, then score its best checkpoint.

    Args:
        args: The command line, without the program's name.

    Raises:
        UserError: If the recipe or the data is wrong.
        RunError: If the training diverges, or the best checkpoint does not repeat its score.
        StoppedError: If a signal stopped the run; its state is saved.
    """
    silence_lightning()
    supervision.end_with_parent()
    names, arguments = split_find(args)
    cli = LightsegCLI(arguments)
    findings: Findings = {}
    if names:
        with explained(cli.parser.built):
            findings = find(names, arguments, cli, agree(cli, RunCallbacks(cli.config)))
        cli = LightsegCLI([*arguments, *as_options(findings)])
    with explained(cli.parser.built):
        callbacks = RunCallbacks(cli.config)
        agreement = agree(cli, callbacks)
        if agreement.resumed and is_finished(agreement.resumed):
            _print_finished(cli, agreement.resumed)
        else:
            _run(cli, args, callbacks, agreement, findings)


def _run(cli: LightsegCLI, args: list[str], callbacks: RunCallbacks, agreement: Agreement, findings: Findings) -> None:
    """Open the run folder, train, and score the best checkpoint."""
    trainer = agreement.trainer
    with ExitStack() as stack:
        stack.callback(callbacks.graceful_stop.restore)
        stack.enter_context(environment.inherited(_prepare_cpu(trainer)))
        stack.enter_context(replaced_internals())
        folder, checkpoint = _open(cli, args, callbacks, agreement, findings, stack)
        with end_run(trainer, folder, callbacks.graceful_stop, cli.parser.built):
            trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, weights_only=True)
            if not trainer.fast_dev_run:  # type: ignore[attr-defined]
                _score_and_report(trainer, cli, callbacks, folder)


def _print_finished(cli: LightsegCLI, folder: Path) -> None:
    """Print where the numbers of a finished run are, after a check that the recipe is that of the run."""
    resume.require_same_recipe(folder, cli.resolved_values())
    final = resume.require_final_metrics(folder)
    print(printable(f"this run is finished; its numbers are in {final}\nrun: {folder}"))


def _prepare_cpu(trainer: L.Trainer) -> dict[str, str]:
    """Set memory and threads for a training on CPUs; return the variables for the other processes."""
    if trainer.strategy.root_device.type != "cpu":
        return {}
    disable_malloc_trim()
    return limit_threads(trainer.num_devices)


def _open(
    cli: LightsegCLI,
    args: list[str],
    callbacks: RunCallbacks,
    agreement: Agreement,
    findings: Findings,
    stack: ExitStack,
) -> tuple[Path | None, Path | None]:
    """Check the run and open its folder on the first process.

    Returns:
        The run folder, which is None on the other processes, and the checkpoint to resume from, if there is one.
    """
    trainer, is_distributed, resumed = agreement
    callbacks.last.extends = extends(cli, resumed)
    folder = checkpoint = None
    with startup.raise_on_all_ranks(trainer, is_distributed):
        if trainer.is_global_zero:
            folder, checkpoint = open_run(cli, trainer, args, resumed, findings, stack)
            callbacks.write_to(folder)
    if not trainer.is_global_zero:
        extension = take_starting_point(cli, resumed).extension
        checkpoint = extension.checkpoint if extension else resume.newest_checkpoint(resumed)[0] if resumed else None
    return folder, checkpoint


def _score_and_report(trainer: L.Trainer, cli: LightsegCLI, callbacks: RunCallbacks, folder: Path | None) -> None:
    """Re-load the best checkpoint, score it on val and test, and report on the first process."""
    best, last, data = callbacks.best, callbacks.last, cli.datamodule
    results = {"train/seconds": last.seconds, "train/steps": trainer.global_step}
    shares = callbacks.class_counter.shares(cli.model.classes)
    results |= {f"train/drawn/{name}": share for name, share in shares.items()}
    checkpoint = Path(best.best_model_path or last.path)
    task = reload(checkpoint)
    results |= score_checkpoint(trainer, task, data, best.best_model_score)
    if folder is not None:
        _report(trainer, task, data, checkpoint, folder, results)


def _report(
    trainer: L.Trainer,
    scored_task: Task,
    data: ImageDataModule,
    checkpoint: Path,
    folder: Path,
    results: dict[str, float],
) -> None:
    """Write and print the results, with pictures of a task that this process can use alone."""
    task = scored_task
    if not _is_unchanged_by_scoring(trainer):
        task = reload(checkpoint)
        task.counts, task.image_counts = scored_task.counts, scored_task.image_counts
    task = task.to(trainer.strategy.root_device)
    if environment.LATENCY in os.environ:
        write_latency(folder, task.eval(), data)
    report(folder, task, checkpoint.stem, data, results, trainer.loggers)


def _is_unchanged_by_scoring(trainer: L.Trainer) -> bool:
    """Return whether the trainer neither divides a net between processes nor converts its weights."""
    has_float32_weights = isinstance(trainer.precision_plugin, MixedPrecision) or trainer.precision == FLOAT32
    return isinstance(trainer.strategy, SingleDeviceStrategy) and has_float32_weights
