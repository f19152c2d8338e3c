"""Longer training of a finished run, as a new run that goes on from its last state."""

from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.callbacks import Timer

from lightseg.callbacks.last_checkpoint import is_early_stopping
from lightseg.checkpoint.origin import make_record
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.errors import ConfigError, require
from lightseg.files.names import LAST
from lightseg.optim.schedules import Schedule
from lightseg.runs.records import is_finished, read_record
from lightseg.training.resume import FREE, LENGTH, find_changes, has_checkpoint, read_state

_FREE = (*FREE, *LENGTH, "extend", "name", "group")
"""Options in which a longer training may differ from its run."""


class Extension(NamedTuple):
    """Finished run whose training goes on.

    Attributes:
        folder: Its run folder.
        checkpoint: Its last state.
        lineage: Its records for `model.json` of the new run: `extend`, and `init` if it started from trained weights.
        schedule: The rule of the learning rate, for the start line.
        stops_early: Whether the run has early stopping, which starts anew.
    """

    folder: Path
    checkpoint: Path
    lineage: dict[str, Any]
    schedule: str
    stops_early: bool

    def __str__(self) -> str:
        """Return the start line."""
        record = self.lineage["extend"]
        return (
            f"extend: goes on after epoch {record['epoch']}, step {record['step']}, of {record['run']} with its "
            f"optimizer; {self.schedule}{'; early stopping starts anew' * self.stops_early}"
        )


def extends(cli: LightsegCLI, resumed: Path | None) -> bool:
    """Return whether a training starts from the last state of another run.

    Args:
        cli: The parsed recipe.
        resumed: The run folder to resume; a checkpoint in it has all of the state.
    """
    return cli.config.extend is not None and not (resumed and has_checkpoint(resumed))


def find_extension(cli: LightsegCLI, resumed: Path | None) -> Extension | None:
    """Return the run whose training goes on; None if the training starts anew or is resumed.

    Args:
        cli: The parsed recipe.
        resumed: See `extends`.

    Raises:
        ConfigError: If the run is not finished or has no state, the recipe is another one, the training would not be
            longer, or the state is not that from which a resumed run started.
        UserError: If a file of the run is damaged.
    """
    if not extends(cli, resumed):
        return None
    folder = Path(cli.config.extend)
    option, checkpoint = f"--extend {folder}", folder / "checkpoints" / LAST
    require(is_finished(folder), f"{option}: this run is not finished; go on with it by --resume {folder}")
    require(checkpoint.is_file(), f"{option}: {checkpoint} is missing, the state to go on from; bring it back")
    changes, _ = find_changes(folder, cli.resolved_values(), _FREE)
    require(
        not changes,
        f"{option}: goes on with the recipe of the run, and this is another one:\n  "
        + "\n  ".join(changes)
        + f"\nleave these options out, or start anew from its weights: --config {folder / 'config.yaml'} "
        f"--model.init {folder}",
    )
    state = read_state(checkpoint)
    loop, step = state["loops"]["fit_loop"], state["global_step"]
    # Lightning counts an epoch as complete in which the training ends
    is_within_epoch = not loop["epoch_loop.batch_progress"]["is_last_batch"]
    epoch = loop["epoch_progress"]["current"]["completed"] - is_within_epoch
    _require_longer(option, cli.config.trainer, epoch, step)
    _require_time(option, cli.config.trainer.max_time, state["callbacks"]["LastCheckpoint"]["seconds"])
    record = {**make_record(str(folder), checkpoint, state), "epoch": epoch, "step": step}
    if resumed and (read_record(resumed / "model.json").get("extend") or {}).get("sha256") != record["sha256"]:
        raise ConfigError(f"{option}: its last state is not what this run started from; bring it back")
    origin = read_record(folder / "model.json").get("init")
    lineage = {"extend": record} | ({"init": origin} if origin else {})
    stops_early = any(map(is_early_stopping, state["callbacks"].values()))
    return Extension(folder, checkpoint, lineage, _describe_schedule(cli, epoch, step), stops_early)


def _require_longer(option: str, trainer: Any, epoch: int, step: int) -> None:
    """Check that the options of the trainer leave something to train.

    Raises:
        ConfigError: If not.
    """
    epochs, steps = trainer.max_epochs, trainer.max_steps
    is_longer = (epochs in (None, -1) or epochs > epoch) and (steps in (None, -1) or steps > step)
    more = f"--trainer.max_epochs {2 * epoch}" if steps in (None, -1) else f"--trainer.max_steps {2 * step}"
    require(
        is_longer,
        f"{option}: has trained {epoch} epochs ({step} steps), and this training ends there; give more, such as {more}",
    )


def _require_time(option: str, max_time: Any, seconds: float) -> None:
    """Check that `trainer.max_time`, which counts the training before, leaves something to train.

    Raises:
        ConfigError: If not.
    """
    limit = Timer(max_time).time_remaining()
    require(
        limit is None or seconds < limit,
        f"{option}: has trained {seconds:.0f} s, and trainer.max_time ends this training there; give more of it, which "
        "counts from the start of that run, or --trainer.max_time null",
    )


def _describe_schedule(cli: LightsegCLI, epoch: int, step: int) -> str:
    schedule, trainer = cli.model.schedule, cli.config.trainer
    if not isinstance(schedule, Schedule):
        return "its scheduler goes on"
    name = type(schedule).__name__
    if trainer.max_steps not in (None, -1):
        return f"{name} is that of {trainer.max_steps} steps, of which {step} are done"
    return f"{name} is that of {trainer.max_epochs} epochs, of which {epoch} are done"
