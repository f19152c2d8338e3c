"""A run from beginning to end: build, check, train, load the best again, test, report."""

import math
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import lightning as L
import yaml

from lightseg.callbacks import (
    BestCheckpoint,
    ClassCounter,
    CollapseWarning,
    EpochPrinter,
    GracefulStop,
    LastCheckpoint,
    LearningRate,
    NonFiniteGuard,
    PredictionSnapshots,
    StepSeed,
    Throughput,
)
from lightseg.checkpoint import loading, rebuild
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.config.class_errors import Objects, describe_failure, explained
from lightseg.data import ImageDataModule
from lightseg.data.io.images import AS_STORED
from lightseg.data.loading.loaders import require_known_order
from lightseg.data.types import ClassCounts, Split
from lightseg.diagnosis.first_samples import first_samples, remarks, require_own_ids
from lightseg.distributed import environment, launch
from lightseg.errors import ConfigError, RunError, StoppedError
from lightseg.evaluation.counts import TOLERANCE, score_split
from lightseg.files.atomic import locked
from lightseg.files.names import LAST
from lightseg.hardware.devices import AUTO, KEPT, limit_threads, require_kept
from lightseg.hardware.malloc import disable_malloc_trim
from lightseg.loggers import RunLog, Wandb
from lightseg.metrics.absent_classes import absent
from lightseg.runs import folder as run
from lightseg.runs import scheduler
from lightseg.runs.environment import describe
from lightseg.runs.records import read_precision
from lightseg.tasks import Stage, Task
from lightseg.tasks.failures import translate_error
from lightseg.tasks.lightning_compat import replaced_internals, silence_lightning
from lightseg.tasks.preflight import check_lengths, fits
from lightseg.training import resume
from lightseg.training.flops import cost
from lightseg.training.report import report
from lightseg.training.trainer import make_trainer


def fit(args: list[str]) -> None:
    """Train what the command line asks for.

    Raises:
        UserError: If the recipe or the data is wrong.
        RunError: If the training diverges, or the best checkpoint does not give its number back.
        StoppedError: If a signal stopped it; the state is saved.
    """
    silence_lightning()
    launch.end_with_parent()
    cli = LightsegCLI(args)
    with explained(cli.parser.built):
        _run(cli, args)


def _run(cli: LightsegCLI, args: list[str]) -> None:
    last = LastCheckpoint(Path(), cli.config.save_every_n_steps, cli.config.save_every_minutes)
    best, drawn, interrupt, log = BestCheckpoint(), ClassCounter(), GracefulStop(), RunLog(None)
    callbacks = (
        [last, interrupt, StepSeed(cli.config.seed_everything), PredictionSnapshots()],
        [drawn, EpochPrinter(), Throughput(), NonFiniteGuard(), CollapseWarning(), LearningRate(), best],
    )
    trainer = make_trainer(cli, *callbacks, [log])
    data, task = cli.datamodule, cli.model
    data.check_batch_size(trainer.world_size, trainer.accumulate_grad_batches)
    met = launch.init_process_group_early(trainer, task)
    threads: dict[str, str] = {}
    if trainer.strategy.root_device.type == "cpu":
        disable_malloc_trim()
        threads = limit_threads(trainer.num_devices)
    resumed = _resumed(cli, trainer, met)
    if _agree_on_precision(cli, trainer, resumed, met):
        trainer = make_trainer(cli, *callbacks, [log])
        launch.init_process_group_early(trainer, task)
    if resumed and resume.is_finished(resumed):
        resume.require_same_recipe(resumed, yaml.safe_load(cli.resolved_config()))
        print(f"this run is finished; its numbers are in {resumed / 'metrics.json'}\nrun: {resumed}")
        return
    with ExitStack() as stack:
        stack.callback(interrupt.restore)
        stack.enter_context(environment.inherited(threads))
        stack.enter_context(replaced_internals())
        folder = file = None
        with launch.raise_on_all_ranks(trainer, met):
            if trainer.is_global_zero:
                folder, file = _open(cli, trainer, args, resumed, stack)
                log.folder, last.path, best.dirpath = folder, folder / "checkpoints" / LAST, str(folder / "checkpoints")
        if resumed and not trainer.is_global_zero:
            file, _ = resume.newest_checkpoint(resumed)
        with _ended(trainer, folder, interrupt, cli.parser.built):
            trainer.fit(task, datamodule=data, ckpt_path=file, weights_only=True)
            if trainer.fast_dev_run:  # type: ignore[attr-defined]
                return
            results = {"train/seconds": last.seconds, "train/steps": trainer.global_step}
            results |= {f"train/drawn/{name}": share for name, share in drawn.shares(task.classes).items()}
            chosen = Path(best.best_model_path or last.path)
            tested = loading.reload(chosen)
            results |= _score(trainer, tested, data, logged=best.best_model_score)
            if folder is not None:
                # a net that has been shared with other processes is of no use to one alone
                shown = loading.reload(chosen).to(trainer.strategy.root_device)
                shown.counts, shown.image_counts = tested.counts, tested.image_counts
                report(folder, shown, chosen.stem, data, results, trainer.loggers)


def _resumed(cli: LightsegCLI, trainer: L.Trainer, met: bool) -> Path | None:
    """The run folder to go on with: the one that is asked for, or that of a job that was started again."""
    if cli.config.resume is not None:
        return Path(cli.config.resume).resolve()
    if environment.RESUMED in os.environ:
        # said by the process that started this one
        return Path(os.environ[environment.RESUMED]) if os.environ[environment.RESUMED] else None
    runs, config = Path(cli.config.runs_dir).resolve() / cli.config.name, yaml.safe_load(cli.resolved_config())
    if cli.has_auto_precision:
        config["trainer"]["precision"] = AUTO
    found = resume.interrupted(config, runs) if scheduler.job() else None
    # each process has its own parent to ask, and one must decide for all
    return trainer.strategy.broadcast(found) if met else found


def _agree_on_precision(cli: LightsegCLI, trainer: L.Trainer, resumed: Path | None, met: bool) -> bool:
    """Let `auto` stand for one precision on all processes: the run's that goes on, else the first process's.

    Returns:
        Whether a process has to take another one than it chose, and with it all need another trainer.
    """
    precision, reason = cli.precision
    if cli.has_auto_precision and resumed:
        precision, reason = read_precision(resumed), KEPT
    differs = precision != cli.precision.precision
    if met:
        precision, reason = trainer.strategy.broadcast((precision, reason))
        differs = precision != cli.precision.precision
        # a trainer is made by all or by none: some strategies meet when they are made
        differs = trainer.strategy.reduce_boolean_decision(differs, all=False)
    if not differs:
        return False
    require_kept(precision, trainer.strategy.root_device, resumed)
    cli.take_precision(precision, reason)
    return True


def _open(
    cli: LightsegCLI, trainer: L.Trainer, args: list[str], resumed: Path | None, stack: ExitStack
) -> tuple[Path, Path | None]:
    """Check everything, then make the run folder, or the old one ready; returns it and the checkpoint to go on from."""
    if resumed:
        stack.enter_context(locked(resumed))
    (config, spent), data = _check(cli, trainer), cli.datamodule
    watchers = [logger for logger in trainer.loggers if isinstance(logger, Wandb)]
    for logger in watchers:
        logger.prepare()
    command = shlex.join(["python", "-m", "lightseg.fit", *args])
    if resumed:
        folder, file = resumed, resume.prepare_resume(resumed, config, data.fingerprint(), command)
    else:
        folder, file = run.create(cli.config.runs_dir, cli.config.name), None
        # the lock goes first, then the folder of a start that failed
        stack.push(partial(_discard_failed_start, folder))
        stack.enter_context(locked(folder))
        describe(folder, cli.resolved_config(), command, data.fingerprint(), spent)
    for logger in watchers:
        logger.attach(folder)
    print(_summary(cli, spent, folder), flush=True)
    # for the processes that this one starts
    known = {environment.RESUMED: str(resumed or ""), environment.PRECISION: cli.precision.precision}
    stack.enter_context(environment.inherited(known))
    return folder, file


def _discard_failed_start(
    folder: Path, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
) -> None:
    """Remove a run folder in which nothing has been trained, unless a signal ended the run."""
    if kind is not None and not isinstance(error, StoppedError | RunError) and not _has_begun(folder):
        run.discard(folder)


def _has_begun(folder: Path) -> bool:
    """Return whether a run has left something that it can go on from, or that can be looked at."""
    return any((folder / "checkpoints").glob("*")) or (folder / "metrics.jsonl").exists()


def _check(cli: LightsegCLI, trainer: L.Trainer) -> tuple[dict[str, Any], dict[str, Any]]:
    """See that data and net fit each other and can be loaded again; returns the resolved config and the net's cost."""
    data, task = cli.datamodule, cli.model
    data.prepare_data()
    _warn_of_absences(data, data.check())
    data.decode(trainer)
    data.check_training()
    loader = data.train_dataloader()
    require_known_order(loader, type(data).__name__)
    check_lengths(trainer, data, len(loader))
    samples = first_samples(data)
    require_own_ids(data, samples)
    task.follow(data)
    for remark in remarks(data, samples, task.resolved["mean"], task.resolved["std"]):
        _warn(remark)
    sample = data.train_sample()
    with fits(task, sample):
        spent = cost(task, sample)
    config: dict[str, Any] = yaml.safe_load(cli.resolved_config())
    values = None if data.image_values == AS_STORED else data.image_values
    task.recipe = rebuild.make_recipe(config, data.classes, data.in_channels, data.palette, values)
    # a task that cannot be built from its recipe could not be loaded when the training is over
    rebuild.build_task({**task.recipe, "resolved": task.resolved}, "the checkpoint of this recipe", trust=True)
    return config, spent


def _warn_of_absences(data: ImageDataModule, class_counts: Mapping[Split, ClassCounts]) -> None:
    """Name the classes that a split does not have: what cannot be learned, and what a score does not tell."""
    thing = "pixel" if data.kind == "segmentation" else "sample"
    for split, counts in class_counts.items():
        if names := absent(counts, data.classes):
            consequence = "it cannot be learned" if split == "train" else f"{split} does not tell how well it is found"
            _warn(f"no {thing} of {split} is {' or '.join(names)}: {consequence}")


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _summary(cli: LightsegCLI, spent: dict[str, Any], folder: Path) -> str:
    """What is about to be trained: swapping a class keeps the options that both have, so show those that matter."""
    name, options, task, optimizer = "AdamW", {}, cli.model, cli.config.model.init_args.optimizer
    if optimizer is not None:
        name, options = optimizer.class_path.rpartition(".")[2], optimizer.init_args.as_dict()
    shown = [f"{option} {options[option]}" for option in ("lr", "momentum", "weight_decay") if option in options]
    return (
        f"{type(task.net).__name__}, {spent['parameters'] / 1e6:.2f} M parameters, {spent['gflops']:.2f} GFLOPs for "
        f"{'×'.join(map(str, spent['input']))}; {', '.join([name, *shown])}; "
        f"{type(task.schedule).__name__}; {cli.precision}; in {folder}"
    )


@contextmanager
def _ended(trainer: L.Trainer, folder: Path | None, interrupt: GracefulStop, objects: Objects) -> Iterator[None]:
    """End what the run began, however it ends; the last line says where it is.

    Raises:
        StoppedError: If it was stopped by a signal.
        RunError: If a loading process, or another process of the run, has died.
    """
    loggers = list(trainer.loggers)
    failed = 1
    launch.ENDING.clear()
    try:
        yield
        failed = 0
    except (SystemExit, KeyboardInterrupt):
        # what Lightning makes of a stop once its callbacks have saved the state
        if interrupt.received == signal.SIGUSR1 and folder is not None:
            scheduler.requeue()
        stopped = StoppedError(interrupt.received or signal.SIGINT, folder)
        failed = stopped.exit_code
        raise stopped from None
    except Exception as error:
        said = translate_error(error, trainer) if isinstance(error, RuntimeError | ValueError) else None
        if said is None and (message := describe_failure(error, objects)):
            said = RunError(message) if trainer.global_step else ConfigError(message)
        if said is None:
            raise
        if folder is not None and isinstance(said, RunError):
            said = RunError(f"{said}\nGo on with: python -m lightseg.fit --resume {folder}")
        raise said from None
    finally:
        launch.ENDING.set()
        for logger in loggers:
            if isinstance(logger, Wandb):
                logger.finish(exit_code=failed)
        if folder is not None and (not failed or failed > 1 or _has_begun(folder)):
            print(f"run: {folder}", flush=True)


def _score(trainer: L.Trainer, task: Task, data: ImageDataModule, logged: Any) -> dict[str, float]:
    """Score a re-loaded checkpoint: val, which must agree with what was logged in training, then test, once.

    Raises:
        RunError: If the checkpoint does not give back the score that it was chosen for, or a pixel was left out.
    """
    # what belongs to the training, such as averaged weights, must not touch the loaded task
    loggers, trainer.loggers = trainer.loggers, []
    trainer.callbacks = [bar for bar in (trainer.progress_bar_callback,) if bar]  # type: ignore[attr-defined]
    results: dict[str, float] = {}
    splits: tuple[Stage, Stage] = ("val", "test")
    for split in splits:
        if len(data.dataset(split)) and getattr(trainer, f"limit_{split}_batches") != 0:
            limit = getattr(trainer, f"limit_{split}_batches")
            is_whole = isinstance(limit, float) and limit == 1 and not trainer.overfit_batches  # type: ignore[attr-defined]
            scores = score_split(trainer, task, data, split, split, is_whole)
            results |= {f"{split}/{name}": value for name, value in scores.items()}
            if task.counts[split].any() and not math.isfinite(scores["loss"]):
                raise RunError(
                    f"{split}/loss is {scores['loss']} with the best checkpoint: the net's outputs or the loss's "
                    "weights are beyond what their numbers can hold; try a lower model.optimizer.lr or "
                    "trainer.precision: 32-true"
                )
    # written so that a score that is not a number fails too
    if logged is not None and not abs(results["val/score"] - float(logged)) <= TOLERANCE:
        raise RunError(
            f"the best checkpoint scores {results['val/score']:.6f} on val when loaded again, but {float(logged):.6f} "
            "was logged in training: its numbers cannot be trusted. Does the net keep state outside its state_dict?"
        )
    trainer.loggers = loggers
    return results
