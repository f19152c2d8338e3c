"""Show runs in W&B, MLflow or TensorBoard that were made without it, while it was away, or interrupted.

usage: python -m lightseg.sync RUN... [--project NAME] [--entity NAME]
       python -m lightseg.sync RUN... --to mlflow [--experiment NAME] [--tracking_uri URI]
       python -m lightseg.sync RUN... --to tensorboard

  RUN                 a run folder, the folder of a series, or a pattern of some: 'runs/unet/*'
  --to TOOL           wandb (if left out), mlflow, or tensorboard: event files in RUN/tensorboard
  --project NAME      the W&B project (that of the run; lightseg for a run that never had one)
  --entity NAME       the W&B user or team (that of the run; else your default one)
  --experiment NAME   the MLflow experiment of a run that is new there (that of its recipe; else lightseg)
  --tracking_uri URI  server or folder of MLflow (MLFLOW_TRACKING_URI; else the folder mlruns)

Example:
  python -m lightseg.sync runs/unet/20260102T030405-a1b2

Each step is sent once; a second call changes nothing. A run that is training is skipped. The newest step of an
unfinished run is not sent, since it may grow when the run is resumed. In W&B, missing tables and pictures of a finished
run's last step are sent in a further row; missing earlier pictures are not sent.
Exit codes: 0 done, 1 the tool did not accept everything, 2 bad input, no key, or it cannot be reached.
"""

# not `wandb sync`: it sends everything again, skips runs that were online, lacks what a killed process has not written
# to its `.wandb` file, and exits with 0 if it cannot read one

import glob
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightseg.cli.entry import Arguments, verb
from lightseg.errors import ConfigError, LightsegError, RunError, UserError, require
from lightseg.files.atomic import locked
from lightseg.files.printable import printable
from lightseg.runs.series import Series, is_series

_OPTIONS = {"wandb": ("project", "entity"), "mlflow": ("experiment", "tracking_uri"), "tensorboard": ()}
"""Tools that show runs, with their options."""

_BUSY = "it is training, or another process sends it; wait for its end"


@verb(__doc__)
def main(args: list[str]) -> None:
    """Show runs elsewhere."""
    parser = Arguments("sync")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--to", choices=[*_OPTIONS], default="wandb")
    for names in _OPTIONS.values():
        for name in names:
            parser.add_argument(f"--{name}")
    options = parser.parse_args(args)
    folders, send = _folders(options.runs), _make_sender(options)
    failed: list[LightsegError] = []
    for folder in folders:
        try:
            print(printable(f"{folder}: {send(folder)}"), flush=True)
        except ConfigError as error:
            # the account or the service is at fault, so the remaining runs would fail too
            failed.append(error)
            break
        except (UserError, RunError) as error:
            failed.append(error)
    if failed:
        kind = UserError if any(isinstance(error, UserError) for error in failed) else RunError
        raise kind("\n".join(map(str, failed)))


def _make_sender(options: Namespace) -> Callable[[Path], str]:
    """Return the function that sends one run to the tool of `--to`, and returns the message about the result.

    Raises:
        ConfigError: If an option belongs to another tool, or the tool is not installed.
    """
    for tool, names in _OPTIONS.items():
        for name in names:
            is_valid = tool == options.to or getattr(options, name) is None
            require(is_valid, f"--{name}: is for --to {tool}, not for {options.to}; leave it out")
    if options.to == "wandb":
        return lambda folder: sync(folder, options.project, options.entity)
    require(
        find_spec(options.to) is not None,
        f"--to {options.to}: this package is not installed; pip install 'lightseg[{options.to}]'",
    )
    from lightseg.tracking.delivery import deliver, mlflow_receiver, tensorboard_receiver

    receiver = (
        mlflow_receiver(options.experiment, options.tracking_uri) if options.to == "mlflow" else tensorboard_receiver()
    )

    def send(folder: Path) -> str:
        with locked(folder, _BUSY):
            return deliver(folder, receiver)

    return send


def _folders(patterns: list[str]) -> list[Path]:
    """Return the run folders of patterns, and of the series among them, each once.

    Raises:
        UserError: If a pattern matches no run folder.
    """
    folders = []
    for pattern in patterns:
        matches = sorted(map(Path, glob.glob(pattern)))  # noqa: PTH207 - of a Path it could not be absolute
        matches += [folder for match in matches if is_series(match) for folder in Series.read(match).run_folders]
        runs = [folder.resolve() for folder in matches if (folder / "config.yaml").is_file()]
        if not runs:
            raise UserError(f"{pattern}: no run folder, which has a config.yaml")
        folders += runs
    return list(dict.fromkeys(folders))


def sync(folder: Path, project: str | None = None, entity: str | None = None) -> str:
    """Send one run to W&B.

    Args:
        folder: The run folder.
        project: W&B project; by default that of the run.
        entity: W&B user or team; likewise.

    Returns:
        The message about the result.

    Raises:
        ConfigError: If there is no key, or W&B cannot be reached; nothing has been changed.
        UserError: If the run is training, its folder is damaged, or W&B does not take such a run.
        RunError: If W&B did not take everything.
    """
    from lightseg.tracking import wandb_run
    from lightseg.tracking.wandb_service import unreachable

    with ExitStack() as stack:
        stack.enter_context(locked(folder, _BUSY))
        extent = _extent(folder)
        identity = wandb_run.identity(folder, {"project": project, "entity": entity})
        if identity.get("delivered") == extent:
            return "W&B has all of it already"
        if extent["step"] < 0:
            return "there is no whole step yet"
        # the run is sent online, regardless of its mode
        os.environ.pop("WANDB_MODE", None)
        wandb_run.choose("online")
        # everything that wandb writes here is in the run folder
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, wandb_run.redirect_files(Path(place)):
            if problem := unreachable():
                raise ConfigError(f"W&B cannot be reached ({problem}); nothing was sent")
            _deliver(folder, {"project": "lightseg", **identity}, Path(place), exit_code=0 if extent["finished"] else 1)
        wandb_run.clear_delivered(folder)
        state = "" if extent["finished"] else "; the run is not finished"
        return f"W&B has it up to step {extent['step']}{state}"


def _extent(folder: Path) -> dict[str, Any]:
    from lightseg.tracking.log_view import extent

    return extent(folder)


def _deliver(folder: Path, identity: dict[str, Any], place: Path, exit_code: int) -> None:
    import wandb

    from lightseg.tracking import wandb_run
    from lightseg.tracking.wandb_service import describe_error

    try:
        view = wandb_run.open_view(folder, identity, "online", place=place)
        wandb_run.deliver(view, exit_code)
    except UserError:
        # a record of the folder is missing or damaged
        raise
    except (FileNotFoundError, wandb.errors.UsageError) as error:
        raise UserError(f"{folder}: {describe_error(error)}") from None
    except Exception as error:  # the client's errors have no common base class
        raise RunError(f"{folder}: {describe_error(error)}; call sync again, it goes on where this ended") from None


if __name__ == "__main__":
    sys.exit(main())
