"""Bring runs to W&B that were offline, without it, or broken off: all that their folders hold, each step once.

usage: python -m lightseg.sync RUN... [--project NAME] [--entity NAME]

  RUN             a run folder, or a pattern of some: 'runs/unet/*'
  --project NAME  the W&B project (that of the run; lightseg for a run that never had one)
  --entity NAME   the W&B user or team (that of the run; else your default one)

Example:
  python -m lightseg.sync runs/unet/20260102T030405-a1b2

What W&B has already is not sent again; a second call changes nothing. A run that is training is left alone, and of one
that is not finished the newest step stays behind, which may grow when the run goes on.
Exit codes: 0 done, 1 W&B did not take everything, 2 bad input, no key, or W&B cannot be reached.
"""

# `wandb sync` nowhere does it better: it sends again what has arrived, skips runs that were online, knows nothing of
# what a kill kept from the `.wandb` file, and says 0 where it could not read one.

import argparse
import glob
import os
import sys
import tempfile
from pathlib import Path

from lightseg.errors import LightsegError, RunError, UserError
from lightseg.files import locked
from lightseg.main import guarded


def main(args: list[str] | None = None) -> int:
    """Run the verb.

    Args:
        args: The command line without the program's name; the process's own if left out.

    Returns:
        The exit code.
    """
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(__doc__.partition("\n\n")[2].strip())
        return 0
    return guarded(lambda: _sync(args))


def _sync(args: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m lightseg.sync", add_help=False, exit_on_error=False)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--project")
    parser.add_argument("--entity")
    try:
        asked = parser.parse_args(args)
    except argparse.ArgumentError as error:
        raise UserError(f"{error}; see python -m lightseg.sync --help") from None
    failed: list[LightsegError] = []
    for folder in _folders(asked.runs):
        try:
            print(f"{folder}: {sync(folder, asked.project, asked.entity)}", flush=True)
        except RunError as error:
            failed.append(error)
    if failed:
        raise RunError("\n".join(map(str, failed)))


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
        UserError: If the run is training, there is no key, or W&B cannot be reached; nothing has been changed.
        RunError: If W&B did not take everything.
    """
    from lightseg.loggers import wandb_run
    from lightseg.loggers.wandb_view import extent

    with locked(folder):
        there = extent(folder)
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
            if problem := wandb_run.unreachable():
                raise UserError(f"W&B cannot be reached ({problem}); nothing was sent")
            try:
                view = wandb_run.open_view(folder, {"project": "lightseg", **named}, "online", place=Path(place))
                wandb_run.deliver(view, exit_code=0 if there["finished"] else 1)
            except Exception as error:
                said = " ".join(str(error).split()) or type(error).__name__
                raise RunError(f"{folder}: {said}; call sync again, it goes on where this ended") from None
        state = "" if there["finished"] else "; the run is not finished"
        return f"W&B has it up to step {there['step']}{state}"


if __name__ == "__main__":
    sys.exit(main())
