"""Bring runs to W&B that were offline, without it, or broken off: all that their folders hold, each step once.

usage: python -m lightseg.sync RUN... [--project NAME] [--entity NAME]

  RUN             a run folder, or a pattern of some: 'runs/unet/*'
  --project NAME  the W&B project (that of the run; lightseg for a run that never had one)
  --entity NAME   the W&B user or team (that of the run; else your default one)

Example:
  python -m lightseg.sync runs/unet/20260102T030405-a1b2

What W&B has already is not sent again; a second call changes nothing. A run that is training is left alone, and of one
that is not finished the newest step stays behind, which may grow when the run goes on. Tables and pictures that a
finished run has shown last and that have not arrived come in a row behind the last; earlier pictures do not come again.
Exit codes: 0 done, 1 W&B did not take everything, 2 bad input, no key, or W&B cannot be reached.
"""

# `wandb sync` nowhere does it better: it sends again what has arrived, skips runs that were online, knows nothing of
# what a kill kept from the `.wandb` file, and says 0 where it could not read one.

import glob
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightseg.cli.entry import Arguments, verb
from lightseg.errors import ConfigError, LightsegError, RunError, UserError
from lightseg.files.atomic import locked
from lightseg.files.printable import printable


@verb(__doc__)
def main(args: list[str]) -> None:
    """Bring runs to W&B."""
    parser = Arguments("sync")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--project")
    parser.add_argument("--entity")
    asked = parser.parse_args(args)
    failed: list[LightsegError] = []
    for folder in _folders(asked.runs):
        try:
            print(printable(f"{folder}: {sync(folder, asked.project, asked.entity)}"), flush=True)
        except ConfigError as error:
            # of the account or the service, so that the others would fail as well
            failed.append(error)
            break
        except (UserError, RunError) as error:
            failed.append(error)
    if failed:
        kind = UserError if any(isinstance(error, UserError) for error in failed) else RunError
        raise kind("\n".join(map(str, failed)))


def _folders(patterns: list[str]) -> list[Path]:
    """The run folders that are meant.

    Raises:
        UserError: If a pattern fits none, or a folder is none.
    """
    folders = []
    for pattern in patterns:
        found = sorted(map(Path, glob.glob(pattern)))  # noqa: PTH207 - of a Path it could not be absolute
        runs = [folder.resolve() for folder in found if (folder / "config.yaml").is_file()]
        if not runs:
            raise UserError(f"{pattern}: no run folder, which has a config.yaml")
        folders += runs
    return folders


def sync(folder: Path, project: str | None = None, entity: str | None = None) -> str:
    """Bring one run to W&B.

    Args:
        folder: The run folder.
        project: W&B project, if it is to be another than the run's.
        entity: W&B user or team, likewise.

    Returns:
        What was done.

    Raises:
        ConfigError: If there is no key, or W&B cannot be reached; nothing has been changed.
        UserError: If the run is training, its folder is damaged, or W&B does not take such a run.
        RunError: If W&B did not take everything.
    """
    from lightseg.tracking import wandb_run
    from lightseg.tracking.wandb_service import unreachable

    with ExitStack() as stack:
        stack.enter_context(locked(folder, "it is training, or another sync is at it; wait for the end of that"))
        there = _extent(folder)
        named = wandb_run.identity(folder, {"project": project, "entity": entity})
        if named.get("delivered") == there:
            return "W&B has all of it already"
        if there["step"] < 0:
            return "there is no whole step yet"
        # it is online that is asked for now
        os.environ.pop("WANDB_MODE", None)
        wandb_run.choose("online")
        # what wandb writes on its way is only what is in the folder
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, wandb_run.inside(Path(place)):
            if problem := unreachable():
                raise ConfigError(f"W&B cannot be reached ({problem}); nothing was sent")
            _deliver(folder, {"project": "lightseg", **named}, Path(place), exit_code=0 if there["finished"] else 1)
        wandb_run.clear_delivered(folder)
        state = "" if there["finished"] else "; the run is not finished"
        return f"W&B has it up to step {there['step']}{state}"


def _extent(folder: Path) -> dict[str, Any]:
    from lightseg.tracking.wandb_view import extent

    return extent(folder)


def _deliver(folder: Path, named: dict[str, Any], place: Path, exit_code: int) -> None:
    import wandb

    from lightseg.tracking import wandb_run
    from lightseg.tracking.wandb_service import said

    try:
        view = wandb_run.open_view(folder, named, "online", place=place)
        wandb_run.deliver(view, exit_code)
    except UserError:
        # a record of the folder is missing or damaged
        raise
    except (FileNotFoundError, wandb.errors.UsageError) as error:
        raise UserError(f"{folder}: {said(error)}") from None
    except Exception as error:  # the client has no error of its own that all of its failures are
        raise RunError(f"{folder}: {said(error)}; call sync again, it goes on where this ended") from None


if __name__ == "__main__":
    sys.exit(main())
