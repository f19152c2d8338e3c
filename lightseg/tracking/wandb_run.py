"""W&B run of a run folder: its name, whether W&B can be reached, and how it is opened and ended.

Nothing in here asks a question or waits without end, and all that wandb writes is in the run folder.
"""

import contextlib
import io
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from lightseg.errors import ConfigError, DataError, RunError
from lightseg.files.atomic import require_in_place, require_regular, write_json
from lightseg.runs.records import read_record
from lightseg.tracking.wandb_service import missing, said, unconfirmed, within
from lightseg.tracking.wandb_view import View, config, extent

WandbMode = Literal["auto", "online", "offline", "disabled"]

START, USE, FINISH, LET_GO = 30.0, 5.0, 20.0, 5.0
"""Seconds to wait at most: for the start of a run, for W&B to take which data it uses, for the end of the run, and for
that of wandb's own process."""

_FILE = "wandb.json"
_IDENTITY = ("id", "project", "entity", "name", "group")
"""What W&B calls a run."""


def choose(mode: WandbMode) -> tuple[WandbMode, str]:
    """Return the mode to run in, and why, as far as this machine alone can know.

    A recipe that says `disabled` or `offline` is obeyed; else WANDB_MODE decides, then whether a sweep waits for it.

    Raises:
        ConfigError: If it must be online, and there is no key or one that cannot be; or if W&B's settings are wrong.
    """
    if mode in ("disabled", "offline"):
        return mode, "asked for"
    requested = os.environ.get("WANDB_MODE") or ("online" if "WANDB_SWEEP_ID" in os.environ else mode)
    modes: dict[str, WandbMode] = {"auto": "auto", "dryrun": "offline", "run": "online", "shared": "online"}
    modes |= {"online": "online", "offline": "offline", "disabled": "disabled"}
    if requested not in modes:
        raise ConfigError(f"WANDB_MODE={requested}: give online, offline or disabled")
    expected = modes[requested]
    if expected in ("disabled", "offline"):
        return expected, "asked for"
    import wandb

    try:
        # looks for a key without a question, and without W&B, and would say where it found one
        with (
            contextlib.redirect_stderr(io.StringIO()),
            tempfile.TemporaryDirectory() as nowhere,
            inside(Path(nowhere)),
        ):
            logged_in, problem = wandb.login(prompt=False, verify=False), "no API key; run `wandb login`"
    except wandb.errors.AuthenticationError as error:
        logged_in, problem = False, str(error)
    except Exception as error:  # wandb's settings have errors of pydantic's, wandb's and Python's own
        raise ConfigError(
            f"W&B does not take its settings: {said(error)}; see the WANDB_… variables and its settings files"
        ) from None
    if not logged_in and expected == "online":
        raise ConfigError(f"W&B cannot be online: {problem}, or set WANDB_API_KEY, or take mode: offline")
    return ("online", "there is a key") if logged_in else ("offline", problem)


def read(folder: Path) -> dict[str, Any]:
    """Return the record of a folder's W&B run: id, project and so on, and what W&B has of it; empty without one.

    Raises:
        DataError: If the file is damaged.
        UserError: If it is a link, or no file.
    """
    path = folder / _FILE
    # before anything is sent: it is written afterwards
    require_in_place(path, "remove it, and the run becomes a new one in W&B")
    require_regular(path)
    try:
        record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        if not isinstance(record, dict) or not all(isinstance(record.get(name), str | None) for name in _IDENTITY):
            raise ValueError("it names no run")
    except (ValueError, RecursionError):
        raise DataError(f"{path} is damaged; delete it, and the run becomes a new one in W&B") from None
    return record


def write(folder: Path, record: dict[str, Any]) -> None:
    """Keep what is known of a folder's W&B run."""
    write_json(folder / _FILE, record)


def identity(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the folder's W&B run is called: as it was at first, so that a resumed run is the same one.

    Args:
        folder: The run folder.
        options: What the recipe or the command line asks for; a place other than before makes it a new run.
    """
    record = read(folder)
    options = {key: value for key, value in options.items() if value is not None}
    place = ("id", "project", "entity")
    moved = any(key in options and record.get(key) not in (None, options[key]) for key in place)
    if record and not moved:
        return record
    group = read_record(folder / "config.yaml").get("group") or folder.parent.name
    fresh = {"name": f"{folder.parent.name}-{folder.name}", "group": group}
    return {"id": secrets.token_hex(4), **fresh, **{k: v for k, v in record.items() if k != "delivered"}, **options}


def open_view(
    folder: Path,
    named: dict[str, Any],
    mode: Literal["online", "offline"],
    live: bool = False,
    place: Path | None = None,
) -> View:
    """Start the wandb run, or go on with it.

    Args:
        folder: The run folder.
        named: Its `identity`.
        mode: Where to.
        live: Whether the run is training in this process; then its load on the machine and its output are shown too.
        place: Where wandb writes to; the run folder if left out.
    """
    import wandb

    replay: dict[str, Any] = {} if live else {"console": "off", "x_disable_stats": True}
    settings = wandb.Settings(
        silent=True,
        init_timeout=START,
        finish_timeout=FINISH,
        finish_timeout_raises=True,
        # a kill would lose the 15 s that it keeps by default
        x_transaction_log_flush_interval=1,
        # the commit of the run is in its config; that of now may be another
        disable_git=True,
        # nor do host, paths and command line leave the machine; what matters of them is in the config
        x_disable_meta=True,
        **replay,
    )
    run = wandb.init(
        **{key: named.get(key) for key in ("id", "project", "entity", "name", "group", "tags", "notes")},
        job_type="fit",
        dir=str(place or folder),
        config=config(folder),
        mode=mode,
        resume="allow",
        settings=settings,
    )
    view = View(folder, run, named.get("log_checkpoint", False))
    if mode == "online":
        write(folder, {**named, "id": run.id, "project": run.project, "entity": run.entity})
        print(f"W&B: {run.url}", flush=True)
    return view


def write_offline(folder: Path, exit_code: int) -> None:
    """Write all of a run into one `.wandb` file in its folder, instead of an earlier one of a part of it."""
    for old in (folder / "wandb").glob("offline-run-*"):
        shutil.rmtree(old)
    view = open_view(folder, read(folder), "offline")
    try:
        view.follow()
        view.complete()
    except Exception:
        # it has not all of it
        end(view.run, exit_code or 1)
        raise
    view.run.finish(exit_code)


def deliver(view: View, exit_code: int) -> None:
    """Send what is left, end the run, and remember what W&B has of it when it says so itself.

    Raises:
        RunError: If W&B does not say so in time.
    """
    folder, run = view.folder, view.run
    named, state = read(folder), extent(folder)
    try:
        view.follow()
        is_complete = state["finished"] and run.starting_step > state["step"]
        view.complete(again=is_complete and bool(missing(named, view.model)))
        used = view.use_data(USE)
    except Exception:
        # it has not all of it
        end(run, exit_code or 1)
        raise
    if not end(run, exit_code):
        raise RunError(f"W&B did not take everything within {FINISH:.0f} s")
    if problem := unconfirmed(named, state, view.model):
        raise RunError(problem)
    if not used:
        raise RunError("W&B has not taken which data the run uses")
    write(folder, {**named, "delivered": state})


def end(run: Any, exit_code: int) -> bool:
    """End a wandb run; returns whether W&B has taken what was sent, as far as wandb knows."""
    with contextlib.suppress(Exception):
        return within(FINISH + 1, lambda: run.finish(exit_code))
    return False


def clear_delivered(folder: Path) -> None:
    """Remove what wandb keeps in a run folder once W&B has all of it: copies of what is there, and logs."""
    if read(folder).get("delivered") == extent(folder):
        shutil.rmtree(folder / "wandb", ignore_errors=True)


def let_go() -> None:
    """End wandb's own process, and with it what it has not been able to do; if need be by force."""
    import wandb
    from wandb.sdk import wandb_setup

    # wandb waits for it without end, at the end of this process as well, and has no other way to it
    connection = getattr(getattr(wandb_setup, "_singleton", None), "_connection", None)
    process = getattr(getattr(connection, "_proc", None), "_process", None)

    ended = False
    with contextlib.suppress(Exception, SystemExit):
        ended = within(LET_GO, wandb.teardown)
    if not ended and process is not None:
        process.kill()
        process.wait()


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Let wandb keep payloads and caches in the run folder, not in the home of whoever runs it; it ends with this."""
    folders = {name: str(folder / "wandb") for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
    # offline too it would send numbers about itself, and complain where they are not taken
    folders["WANDB_ERROR_REPORTING"] = os.environ.get("WANDB_ERROR_REPORTING", "false")
    # these have been decided by now, and wandb refuses to start where they hold what it does not like
    masked = ("WANDB_MODE", "WANDB_RUN_ID")
    before = {name: os.environ.get(name) for name in (*folders, *masked)}
    # its process knows only the places that it was started with
    let_go()
    os.environ.update(folders)
    for name in masked:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        let_go()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
