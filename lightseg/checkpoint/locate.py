"""Lookup of the run folder or the weights file that an argument names.

Imports nothing heavy, so that a wrong argument is reported at once.
"""

import sys
from pathlib import Path

from lightseg.checkpoint import hub
from lightseg.errors import UserError
from lightseg.files.atomic import sha256
from lightseg.files.names import BEST, ENSEMBLE, LAST, PLAN, WEIGHTS
from lightseg.files.nearest import nearest_path
from lightseg.files.walk import matches


def run_folder(path: str, option: str = "") -> Path:
    """Return the run folder that an argument names.

    Args:
        path: The argument.
        option: The option that the argument belongs to, for the message.

    Raises:
        UserError: If the path is no run folder; the message suggests the nearest one.
    """
    folder = Path(path)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{option} {path}: no run folder, which has a config.yaml{_suggest_run(folder)}".lstrip())
    return folder


def model_file(path: str | Path) -> Path:
    """Return the weights file that an argument names.

    Args:
        path: A checkpoint or exported weights; a run folder, whose best checkpoint is taken; a folder with exported
            weights; or `hf://USER/REPO`, which is downloaded.

    Raises:
        UserError: If there is none; the message suggests the nearest run.
    """
    if str(path).startswith(hub.SCHEME):
        path = hub.fetch(str(path))
    source = Path(path)
    in_folder = [source / "checkpoints" / BEST, source / "checkpoints" / LAST, source / WEIGHTS]
    candidates = in_folder if source.is_dir() else [source]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not source.is_dir():
        raise UserError(f"{path}: no checkpoint found{_suggest_run(source)}")
    run_folder(str(path))
    raise UserError(f"{path}: no checkpoint found (looked for {' nor '.join(map(str, candidates))})")


def split_members(path: str | Path) -> list[str]:
    """Return the arguments of the single models that an argument names: itself, or the members of an ensemble.

    Args:
        path: A path; the folder of an evaluation of an ensemble; or several paths joined by `+`, each of which may be a
            pattern of run folders, `runs/unet/*`, or the folder of a series.

    Raises:
        UserError: If a pattern matches no run folder, a model is named twice, or a member of an evaluated ensemble has
            changed.
    """
    text = str(path)
    if (Path(text) / ENSEMBLE).is_file():
        return _evaluated_members(Path(text) / ENSEMBLE)
    if Path(text).exists() and not (Path(text) / PLAN).is_file():
        return [text]
    parts = text.split("+")
    if not all(parts):
        raise UserError(f"{text or 'the path'}: names no model at one side of a +; name both")
    members = [member for part in parts for member in _match_runs(part)]
    for member in members:
        if members.count(member) > 1:
            raise UserError(f"{text}: names {member} twice; an ensemble counts each model once")
    return members


def model_files(path: str | Path) -> list[Path]:
    """Return the weights files that an argument names: one, or those of the members of an ensemble.

    Raises:
        UserError: As `split_members` and `model_file` raise it.
    """
    return [model_file(member) for member in split_members(path)]


def trained_runs(path: str) -> list[tuple[Path, Path | None]]:
    """Return `trained_run` of the model that an argument names, or of each member of an ensemble.

    Raises:
        UserError: As `split_members` and `trained_run` raise it.
    """
    return [trained_run(member) for member in split_members(path)]


def trained_run(path: str) -> tuple[Path, Path | None]:
    """Return the checkpoint of a file or run folder, and its run folder; None for a file outside of one.

    Raises:
        UserError: If the path is neither.
    """
    if Path(path).is_file():
        above = Path(path).resolve().parent.parent
        return Path(path).resolve(), above if (above / "config.yaml").is_file() else None
    run = run_folder(path).resolve()
    return model_file(run).resolve(), run


def follow_imports(folder: Path) -> None:
    """Extend the import path by that of a run, so that its custom classes can be imported.

    Call it for trusted folders only: `env.json` of the folder decides which modules are imported.

    Raises:
        UserError: If `env.json` is damaged.
    """
    if not (folder / "env.json").is_file():
        return
    from lightseg.runs.records import read_record

    sys.path += [path for path in read_record(folder / "env.json").get("import_path", []) if path not in sys.path]


def _evaluated_members(record: Path) -> list[str]:
    from lightseg.runs.records import read_record

    members = []
    for member in read_record(record)["members"]:
        file, run = Path(member["checkpoint"]), member["run"]
        if not file.is_file() or sha256(file) != member["sha256"]:
            raise UserError(f"{record}: its member {file} is missing or has changed; name the members, joined by +")
        members.append(run if run and file == Path(run, "checkpoints", BEST) else str(file))
    return members


def _match_runs(part: str) -> list[str]:
    """Return the run folders of a series, or those that a pattern matches, sorted; any other path as it is."""
    if (Path(part) / PLAN).is_file():
        from lightseg.runs.series import Series

        return [str(folder) for folder in Series.read(Path(part)).run_folders if folder.exists()]
    if not set(part) & set("*?[") or Path(part).exists():
        return [part]
    runs = sorted(match for match in matches(part) if (Path(match) / "config.yaml").is_file())
    if not runs:
        raise UserError(f"{part}: matches no run folder, which has a config.yaml")
    return runs


def _suggest_run(path: Path) -> str:
    """Return a hint at the nearest run folder: the newest one below a path, or the one that contains it."""
    # a folder of runs, or of experiments; names of runs begin with their time
    runs = (file.parent for depth in ("*", "*/*") for file in path.glob(f"{depth}/config.yaml"))
    below = sorted(runs, key=lambda folder: folder.name)
    above = [folder for folder in path.parents if (folder / "config.yaml").is_file()]
    near = [*below[-1:], *above[:1]]
    if near or path.exists():
        return f"; did you mean {near[0]}?" if near else ""
    similar = nearest_path(path)
    return f"; there is no such file or folder{f'; did you mean {similar}?' if similar else ''}"
