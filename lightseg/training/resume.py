"""Resume of a run that was killed or stopped: its folder, its checkpoint, and checks that it is the same run."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightseg.checkpoint.loading import read
from lightseg.config.plain_data import plain
from lightseg.config.recipe_schema import RECIPE
from lightseg.config.schema import require_form
from lightseg.data import ImageDataModule
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.io.image_values import image_values
from lightseg.errors import ConfigError, UserError
from lightseg.files.atomic import require_in_place, require_regular, write_atomically
from lightseg.files.names import BEST, LAST, METRICS, PREVIOUS
from lightseg.files.printable import printable, warn
from lightseg.hardware.precision_names import AUTO
from lightseg.runs import environment, scheduler
from lightseg.runs.diff import (
    DATA_LOCATION,
    LOCATION,
    differences,
    format_change,
    kernel_changes,
    trains_on_cpu,
    within,
)
from lightseg.runs.fingerprint import differ
from lightseg.runs.metrics_log import read_log
from lightseg.runs.records import is_finished, read_record
from lightseg.training.state_schema import TRAINING_STATE

_HARDWARE = (
    *("accelerator", "accumulate_grad_batches", "benchmark", "devices", "enable_model_summary", "enable_progress_bar"),
    *("logger", "num_nodes", "plugins", "profiler", "strategy", "sync_batchnorm"),
)
FREE = (
    *(f"trainer.{name}" for name in _HARDWARE),
    "trainer.limit_test_batches",
    "model.teacher",
    "data.cache_gb",
    "data.num_workers",
    *DATA_LOCATION,
    "save_every_minutes",
    "save_every_n_steps",
)
"""Options that may change when a run is resumed, with a message; files of the teacher are compared by their content."""

_WRITTEN = ("metrics.jsonl", METRICS, "resumes.jsonl")
_WRITTEN_PATTERNS = ("confusion_*.csv", "histogram_*.csv", "per_image_*.npz", "images/*.png")
"""Files that a resumed training writes again or goes on with."""

LENGTH = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time")
"""Options that decide how long a run trains."""


def find_interrupted(config: dict[str, Any], runs: Path) -> Path | None:
    """Return the run that this job was training before its scheduler started it again; None if there is none.

    Args:
        config: The resolved config, which must be that of the run.
        runs: The folder with the runs of the recipe.
    """
    return next((folder for folder in folders_of_job(runs) if not find_changes(folder, config)[0]), None)


def folders_of_job(runs: Path) -> Iterator[Path]:
    """Yield the runs that this job began before its scheduler started it again, newest first.

    Args:
        runs: The folder with the runs of the recipe.
    """
    job = scheduler.job()
    for file in sorted(runs.glob("*/env.json"), reverse=True) if job else ():
        try:
            environment = read_record(file)
        except UserError:
            # a damaged record belongs to an older run of another job
            continue
        start_time = environment.get("time")
        if environment.get("job") == job and start_time is not None and scheduler.restarted(start_time):
            yield file.parent


def require_final_metrics(folder: Path) -> Path:
    """Return the file with the final metrics of a finished run, after a check that it can be read.

    Raises:
        UserError: If it is damaged.
    """
    path = folder / METRICS
    try:
        read_record(path)
    except UserError:
        raise UserError(f"{path}: is damaged; delete it, and --resume scores the run again") from None
    return path


def newest_checkpoint(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """Return the newest readable checkpoint and its content; print a message if the last one is damaged.

    Returns:
        The file, None if there is no checkpoint, and its content.

    Raises:
        UserError: If there are checkpoints, but none can be read.
    """
    errors = []
    for name in (LAST, PREVIOUS[LAST]):
        file = folder / "checkpoints" / name
        if not file.exists():
            continue
        try:
            content = read_state(file)
        except UserError as error:
            errors.append(str(error))
            continue
        for broken in errors:
            print(printable(f"{broken}; going on from {file.name}, the one before it"), flush=True)
        return file, content
    if errors:
        raise UserError("\n".join([*errors, "there is no other state to go on from; start a new run without --resume"]))
    return None, {}


def restore_image_values(data: ImageDataModule, folder: Path) -> None:
    """Make a data module read images by the range and the mean that a run has measured, and measure none again.

    Args:
        data: The data module, of which no sample has been read.
        folder: The run folder.

    Raises:
        UserError: If no checkpoint can be read.
    """
    if isinstance(data, FileDataModule) and data.measures_values:
        file, content = newest_checkpoint(folder)
        if file is not None:
            recipe = content.get("lightseg", {})
            require_form(RECIPE, recipe, file)
            data.use_values(image_values(recipe))


def has_checkpoint(folder: Path) -> bool:
    """Return whether a run folder has a state to resume from."""
    return any((folder / "checkpoints" / name).exists() for name in (LAST, PREVIOUS[LAST]))


def read_state(file: Path) -> dict[str, Any]:
    """Return the content of a checkpoint from which a training can go on.

    Raises:
        UserError: If it cannot be read, or its state of the training is damaged.
    """
    content = read(file)
    require_form(TRAINING_STATE, content, file)
    return content


def _require_usable(folder: Path) -> None:
    """Check the files and folders of a run that a resumed training goes on writing.

    Raises:
        UserError: If one is of another kind, or the log is damaged.
    """
    for name in ("checkpoints", "images", "images/samples"):
        place = folder / name
        if place.exists() and not place.is_dir():
            raise UserError(f"{place}: is not a folder; move it away, or bring the folder back")
    # a pattern without a wildcard does not match a link that leads nowhere
    files = [folder / name for name in _WRITTEN]
    for file in files + [path for pattern in _WRITTEN_PATTERNS for path in folder.glob(pattern)]:
        require_in_place(file, "bring the file back, or move it away")
        require_regular(file)
    if (folder / "metrics.jsonl").exists():
        read_log(folder)


def require_same(folder: Path, config: dict[str, Any], data: dict[str, Any]) -> None:
    """Check that a resumed run has the same recipe and data; print the differences that are allowed.

    Args:
        folder: The run folder.
        config: The current resolved config.
        data: The current fingerprint of the data.

    Raises:
        ConfigError: If the recipe or the data differs; the message has every difference.
    """
    messages = require_same_recipe(folder, config)
    require_same_data(f"--resume {folder}", folder, data)
    before, now = read_record(folder / "env.json"), environment.environment()
    packages = differences(before.get("packages", {}), now["packages"])
    messages += [f"{package}: {old} -> {new}; the numbers may differ" for package, (old, new) in packages.items()]
    if trains_on_cpu(config, now):
        messages += [
            f"{name}: {format_change(old, new)}; the numbers may differ in their last digits"
            for name, (old, new) in kernel_changes(before, now).items()
        ]
    for message in messages:
        print(printable(f"goes on with another {message}"), flush=True)


def require_same_data(option: str, folder: Path, data: dict[str, Any]) -> None:
    """Check that the data is that of a run.

    Args:
        option: The option that names the run, for the message.
        folder: The run folder.
        data: The current fingerprint of the data.

    Raises:
        ConfigError: If a split differs.
    """
    for split, old in read_record(folder / "data.json").items():
        new = data.get(split) or {"samples": 0}
        if old["samples"] != new["samples"] or differ(old.get("sha256"), new.get("sha256")):
            raise ConfigError(
                f"{option}: the {split} split is not what it was: {old['samples']} samples then, {new['samples']} now, "
                "or other content; bring the data back, or start a new run"
            )


def require_same_recipe(folder: Path, config: dict[str, Any]) -> list[str]:
    """Check that a recipe is that of a run; return the differences that are allowed.

    Raises:
        ConfigError: If another option differs; the message has every difference.
    """
    forbidden, allowed = find_changes(folder, config)
    if is_finished(folder) and forbidden and not find_changes(folder, config, (*FREE, *LENGTH))[0]:
        raise ConfigError(
            f"--resume {folder}: this run is finished; to train longer, start a new run from its last state: "
            f"--extend {folder} instead of --resume ({'; '.join(forbidden)})"
        )
    if forbidden:
        raise ConfigError(
            f"--resume {folder}: this is another recipe, whose numbers would be of neither:\n  "
            + "\n  ".join(forbidden)
            + f"\nleave these options out to go on, or start a new run: --config "
            f"{folder / 'config.yaml'} instead of --resume"
        )
    return allowed


def find_changes(folder: Path, config: dict[str, Any], free: Sequence[str] = FREE) -> tuple[list[str], list[str]]:
    """Return the differences of the current config from that of a run: the forbidden ones, and the allowed ones.

    Args:
        folder: The run folder.
        config: The current resolved config.
        free: Options that may differ.
    """
    recorded = read_record(folder / "config.yaml")
    forbidden: list[str] = []
    allowed: list[str] = []
    for key, (old, new) in differences(recorded, plain(config, "the recipe")).items():
        # `auto` keeps the precision of the run
        if not within(key, LOCATION) and (key, new) != ("trainer.precision", AUTO):
            (allowed if within(key, free) else forbidden).append(f"{key}: {format_change(old, new)}")
    return forbidden, allowed


def prepare_resume(folder: Path, config: dict[str, Any], data: dict[str, Any], command: str) -> Path | None:
    """Prepare a run folder for the steps after its newest checkpoint, and record the resume in `resumes.jsonl`.

    Args:
        folder: The run folder.
        config: The current resolved config.
        data: The current fingerprint of the data.
        command: The command line.

    Returns:
        The checkpoint to resume from; None if there is none yet.

    Raises:
        ConfigError: If the recipe or the data differs; nothing has been changed.
        UserError: If no checkpoint can be read, or the folder is damaged; nothing has been changed.
    """
    _require_usable(folder)
    require_same(folder, config, data)
    checkpoint, state = newest_checkpoint(folder)
    step = state.get("global_step", 0)
    restore_best(folder, best_score(state))
    truncate_log(folder, step)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"time": time, "after_step": step, "command": command, **environment.kernels()}
    with (folder / "resumes.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"goes on after step {step}" if step else "there is no checkpoint yet: begins anew", flush=True)
    return checkpoint


def restore_best(folder: Path, score: float | None) -> None:
    """Restore the best checkpoint of a state: a later one belongs to steps that will be repeated.

    Args:
        folder: The run folder.
        score: The best score in that state.
    """
    best, before = (folder / "checkpoints" / name for name in (BEST, PREVIOUS[BEST]))
    if not before.exists() or best_score(read_state(before)) != score:
        return
    if not best.exists() or best_score(read_state(best)) != score:
        before.replace(best)


def best_score(state: dict[str, Any]) -> float | None:
    """Return the best validation score in the content of a checkpoint; None if there is none."""
    score = state.get("callbacks", {}).get("Best", {}).get("best_model_score")
    return None if score is None else float(score)


def truncate_log(folder: Path, step: int) -> None:
    """Remove the log lines after the step of a checkpoint, which will be logged again, and unfinished files."""
    path = folder / "metrics.jsonl"
    if step and not path.exists():
        warn(f"{path} is not there: the log begins at step {step}")
    if path.exists():
        lines = [line for line in read_log(folder) if (line["step"] or 0) < step]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in lines))
    for place in (folder, folder / "checkpoints"):
        for unfinished in place.glob(".*"):
            # left by `atomic_write` when the process was killed
            if re.fullmatch(r"\.[\w-]+\.\w+\.\d+", unfinished.name):
                unfinished.unlink()
