"""Going on with a run that was killed or stopped: which one, from which checkpoint, and is it still the same run."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightseg.checkpoint.loading import read
from lightseg.config.schema import plain
from lightseg.errors import ConfigError, UserError
from lightseg.files.atomic import write_atomically
from lightseg.files.names import BEST, LAST, PREVIOUS
from lightseg.hardware.devices import AUTO
from lightseg.runs import environment, scheduler
from lightseg.runs.diff import arrow, differences
from lightseg.runs.fingerprint import differ
from lightseg.runs.metrics_log import read_log
from lightseg.runs.records import read_record

_HARDWARE = (
    *("accelerator", "accumulate_grad_batches", "benchmark", "devices", "enable_model_summary", "enable_progress_bar"),
    *("logger", "num_nodes", "plugins", "profiler", "strategy", "sync_batchnorm"),
)
_FREE = (
    *(f"trainer.{name}" for name in _HARDWARE),
    "trainer.limit_test_batches",
    "data.cache_gb",
    "data.num_workers",
    "data.root",
    "save_every_",
)
"""What may be another when a run goes on, and is said if it is."""

_UNSAID = ("resume", "config", "base", "runs_dir")


def find_interrupted(config: dict[str, Any], runs: Path) -> Path | None:
    """The run that this job was training when its scheduler started it again, if it has; see `run.restarted`.

    Args:
        config: The resolved config of now, which must be that of the run.
        runs: The folder of the recipe's runs.
    """
    job = scheduler.job()
    for file in sorted(runs.glob("*/env.json"), reverse=True) if job else ():
        try:
            environment = read_record(file)
        except UserError:
            # of an older run, which another job has left so
            continue
        folder, made = file.parent, environment.get("time")
        is_of_this_job = environment.get("job") == job and made is not None and scheduler.restarted(made)
        if is_of_this_job and not changes(folder, config)[0]:
            return folder
    return None


def is_finished(folder: Path) -> bool:
    """Whether a run has its final numbers.

    Raises:
        UserError: If the file that should hold them is damaged.
    """
    path = folder / "metrics.json"
    try:
        return path.exists() and bool(json.loads(path.read_text()))
    except ValueError:
        raise UserError(f"{path}: is damaged; delete it, and --resume scores the run again") from None


def newest_checkpoint(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """The newest checkpoint that is whole, with its content; says so where the last one is not.

    Raises:
        UserError: If none of those that are there can be read.
    """
    errors = []
    for name in (LAST, PREVIOUS[LAST]):
        file = folder / "checkpoints" / name
        if not file.exists():
            continue
        try:
            content = read(file)
        except UserError as error:
            errors.append(str(error))
            continue
        for broken in errors:
            print(f"{broken}; going on from {file.name}, the one before it", flush=True)
        return file, content
    if errors:
        raise UserError("\n".join([*errors, "there is no other state to go on from; start a new run without --resume"]))
    return None, {}


def require_same(folder: Path, config: dict[str, Any], data: dict[str, Any]) -> None:
    """See that a run goes on with what it was begun with; print what may differ and does.

    Args:
        folder: The run folder.
        config: The resolved config of now.
        data: The fingerprint of the data of now.

    Raises:
        ConfigError: If the recipe or the data is another one; the message names every difference.
    """
    said = require_same_recipe(folder, config)
    known = read_record(folder / "data.json")
    for split in known:
        now = data.get(split) or {"samples": 0}
        if known[split]["samples"] != now["samples"] or differ(known[split].get("sha256"), now.get("sha256")):
            raise ConfigError(
                f"--resume {folder}: the {split} split is not what it was: {known[split]['samples']} samples then, "
                f"{now['samples']} now, or other content; bring the data back, or start a new run"
            )
    packages = differences(read_record(folder / "env.json").get("packages", {}), environment.environment()["packages"])
    said += [f"{package}: {old} -> {new}; the numbers may differ" for package, (old, new) in packages.items()]
    for line in said:
        print(f"goes on with another {line}", flush=True)


def require_same_recipe(folder: Path, config: dict[str, Any]) -> list[str]:
    """See that the recipe is that of a run; returns what may be another and is.

    Raises:
        ConfigError: If it is not; the message names every difference.
    """
    forbidden, allowed = changes(folder, config)
    if forbidden:
        raise ConfigError(
            f"--resume {folder}: this is another recipe, whose numbers would be of neither:\n  "
            + "\n  ".join(forbidden)
            + f"\nleave these options out to go on, or start a new run: --config "
            f"{folder / 'config.yaml'} instead of --resume"
        )
    return allowed


def changes(folder: Path, config: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What differs between a run's config and one of now: what must not, and what may."""
    begun = read_record(folder / "config.yaml")
    forbidden: list[str] = []
    allowed: list[str] = []
    for key, (old, new) in differences(begun, plain(config, "the recipe")).items():
        # `auto` keeps what the run was begun with
        if not key.startswith(_UNSAID) and (key, new) != ("trainer.precision", AUTO):
            (allowed if key.startswith(_FREE) else forbidden).append(f"{key}: {arrow(old, new)}")
    return forbidden, allowed


def prepare_resume(folder: Path, config: dict[str, Any], data: dict[str, Any], command: str) -> Path | None:
    """Make a run folder ready for the steps after its newest checkpoint's, and note in `resumes.jsonl` that it went on.

    Returns:
        The checkpoint to go on from; None if there is none yet.

    Raises:
        ConfigError: See `require_same`; nothing has been changed then.
        UserError: See `newest_checkpoint`; likewise.
    """
    require_same(folder, config, data)
    checkpoint, state = newest_checkpoint(folder)
    step = state.get("global_step", 0)
    truncate_log(folder, step)
    restore_best(folder, best_score(state))
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "after_step": step, "command": command}
    with (folder / "resumes.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"goes on after step {step}" if step else "there is no checkpoint yet: begins anew", flush=True)
    return checkpoint


def restore_best(folder: Path, score: float | None) -> None:
    """Put the best checkpoint back that a state knows of: a later one belongs to steps that are taken again.

    Args:
        folder: The run folder.
        score: The best score at that state.
    """
    best, before = (folder / "checkpoints" / name for name in (BEST, PREVIOUS[BEST]))
    if before.exists() and best_score(read(before)) == score and (not best.exists() or best_score(read(best)) != score):
        before.replace(best)


def best_score(state: dict[str, Any]) -> float | None:
    """The best validation score up to a state of the training."""
    score = state.get("callbacks", {}).get("Best", {}).get("best_model_score")
    return None if score is None else float(score)


def truncate_log(folder: Path, step: int) -> None:
    """Drop the lines of the steps after a checkpoint's, which will be logged again, and unfinished files."""
    path = folder / "metrics.jsonl"
    if step and not path.exists():
        print(f"warning: {path} is not there: the log begins at step {step}", file=sys.stderr, flush=True)
    if path.exists():
        kept = [line for line in read_log(folder) if (line["step"] or 0) < step]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept))
    for place in (folder, folder / "checkpoints"):
        for unfinished in place.glob(".*"):
            # what `atomic_write` leaves when the process is killed
            if re.fullmatch(r"\.[\w-]+\.\w+\.\d+", unfinished.name):
                unfinished.unlink()
