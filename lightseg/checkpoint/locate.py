"""Run folder or the file with weights that an argument names.

Imports nothing heavy, so that a slip is reported at once.
"""

import sys
from pathlib import Path

from lightseg.checkpoint import hub
from lightseg.errors import UserError
from lightseg.files.names import BEST, LAST, WEIGHTS


def run_folder(path: str, option: str = "") -> Path:
    """Return the run folder that an argument names.

    Args:
        path: The argument.
        option: The option that it belongs to, for the message.

    Raises:
        UserError: If it is none; the message has the one that may have been meant.
    """
    folder = Path(path)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{option} {path}: no run folder, which has a config.yaml{_nearby(folder)}".lstrip())
    return folder


def model_file(path: str | Path) -> Path:
    """Return the file with the weights that an argument names: itself, the best of a run, an export's, or the Hub's.

    Args:
        path: A checkpoint or exported weights; a folder with either; or `hf://USER/REPO`, which is fetched.

    Raises:
        UserError: If there is none; the message has the run that may have been meant.
    """
    if str(path).startswith(hub.SCHEME):
        path = hub.fetch(str(path))
    place = Path(path)
    inside = [place / "checkpoints" / BEST, place / "checkpoints" / LAST, place / WEIGHTS]
    candidates = inside if place.is_dir() else [place]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not place.is_dir():
        raise UserError(f"{path}: no checkpoint found{_nearby(place)}")
    run_folder(str(path))
    raise UserError(f"{path}: no checkpoint found (looked for {' nor '.join(map(str, candidates))})")


def trained_run(path: str) -> tuple[Path, Path | None]:
    """Return the checkpoint that is meant by itself or by its run folder, and the run folder, if it is in one.

    Raises:
        UserError: If it is neither.
    """
    if Path(path).is_file():
        above = Path(path).resolve().parent.parent
        return Path(path).resolve(), above if (above / "config.yaml").is_file() else None
    run = run_folder(path).resolve()
    return model_file(run).resolve(), run


def follow_imports(folder: Path) -> None:
    """Find classes of one's own where they were when a run was made, as `env.json` of its folder says.

    Whoever calls this trusts the folder: it decides which modules are found.

    Raises:
        UserError: If that is damaged.
    """
    if not (folder / "env.json").is_file():
        return
    from lightseg.runs.records import read_record

    sys.path += [path for path in read_record(folder / "env.json").get("import_path", []) if path not in sys.path]


def _name(folder: Path) -> str:
    return folder.name


def _nearby(path: Path) -> str:
    """Return the run folder that may have been meant: the newest one below, or the one that a file is in."""
    # a folder of runs, or of experiments; names of runs begin with their time
    below = sorted((file.parent for depth in ("*", "*/*") for file in path.glob(f"{depth}/config.yaml")), key=_name)
    above = [folder for folder in path.parents if (folder / "config.yaml").is_file()]
    near = [*below[-1:], *above[:1]]
    return f"; did you mean {near[0]}?" if near else "" if path.exists() else "; there is no such file or folder"
