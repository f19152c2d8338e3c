"""W&B run of a run folder: identity, mode, start and end.

No function prompts or waits without a timeout, and wandb writes into the run folder only.
"""

import contextlib
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from lightseg.errors import ConfigError, RunError
from lightseg.files.atomic import write_json
from lightseg.files.printable import printable
from lightseg.runs.records import read_record
from lightseg.runs.series import job_type
from lightseg.tracking.identity import read_identity
from lightseg.tracking.log_view import config, extent
from lightseg.tracking.wandb_service import describe_error, missing, unconfirmed, within
from lightseg.tracking.wandb_view import View

WandbMode = Literal["auto", "online", "offline", "disabled"]

START, USE, FINISH, TEARDOWN = 30.0, 5.0, 20.0, 5.0
"""Timeouts in seconds: start of a run, upload of its data's lineage, end of the run, and end of wandb's process."""

_FILE = "wandb.json"
"""File of the identity of a W&B run."""

_IDENTITY = ("id", "project", "entity", "name", "group", "job_type")
"""Keys of the identity of a W&B run."""


def choose(mode: WandbMode) -> tuple[WandbMode, str]:
    """Return the mode and its reason, from local information alone.

    `disabled` and `offline` in the recipe take precedence, then WANDB_MODE, then a sweep, which needs online.

    Raises:
        ConfigError: If the mode must be online, but the key is missing or invalid; or if W&B's settings are wrong.
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
        # finds a key without a prompt and without the network; it would print the place of the key
        with (
            contextlib.redirect_stderr(io.StringIO()),
            tempfile.TemporaryDirectory() as nowhere,
            redirect_files(Path(nowhere)),
        ):
            logged_in, problem = wandb.login(prompt=False, verify=False), "no API key; run `wandb login`"
    except wandb.errors.AuthenticationError as error:
        logged_in, problem = False, str(error)
    except Exception as error:  # wandb's settings raise errors of pydantic, wandb and Python
        raise ConfigError(
            f"W&B does not take its settings: {describe_error(error)}; see the WANDB_… variables and its settings files"
        ) from None
    if not logged_in and expected == "online":
        raise ConfigError(f"W&B cannot be online: {problem}, or set WANDB_API_KEY, or take mode: offline")
    return ("online", "there is a key") if logged_in else ("offline", problem)


def read(folder: Path) -> dict[str, Any]:
    """Return the record of a folder's W&B run: its identity, and what has been sent; empty if there is none.

    Raises:
        DataError: If the file is damaged.
        UserError: If it is a link, or not a regular file.
    """
    return read_identity(folder / _FILE, _IDENTITY, "W&B")


def write(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a folder's W&B run."""
    write_json(folder / _FILE, record)


def identity(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the identity of a folder's W&B run; that of its first start, so that a resume continues the run.

    Args:
        folder: The run folder.
        options: Options of the recipe or the command line; another project or entity creates a new run.
    """
    record = read(folder)
    options = {key: value for key, value in options.items() if value is not None}
    place = ("id", "project", "entity")
    moved = any(key in options and record.get(key) not in (None, options[key]) for key in place)
    if record and not moved:
        return record
    group = read_record(folder / "config.yaml").get("group") or folder.parent.name
    fresh = {"name": f"{folder.parent.name}-{folder.name}", "group": group, "job_type": job_type(folder)}
    return {"id": secrets.token_hex(4), **fresh, **{k: v for k, v in record.items() if k != "delivered"}, **options}


def open_view(
    folder: Path,
    named: dict[str, Any],
    mode: Literal["online", "offline"],
    live: bool = False,
    place: Path | None = None,
) -> View:
    """Start or resume the wandb run.

    Args:
        folder: The run folder.
        named: Its `identity`.
        mode: Mode of W&B.
        live: Whether the run is training in this process, so that system metrics and output are recorded.
        place: Folder for wandb's files; default: the run folder.
    """
    import wandb

    run = wandb.init(
        **{key: named.get(key) for key in ("id", "project", "entity", "name", "group", "tags", "notes")},
        # a run of before has none
        job_type=named.get("job_type", "fit"),
        dir=str(place or folder),
        config=config(folder),
        mode=mode,
        resume="allow",
        settings=settings(live),
    )
    view = View(folder, run, named.get("log_checkpoint", False))
    if mode == "online":
        write(folder, {**named, "id": run.id, "project": run.project, "entity": run.entity})
        print(printable(f"W&B: {run.url}"), flush=True)
    return view


def settings(is_live: bool) -> Any:
    """Return wandb's settings, without prompts and with timeouts.

    Args:
        is_live: Whether the run is training in this process, so that system metrics and output are recorded.
    """
    import wandb

    replay: dict[str, Any] = {} if is_live else {"console": "off", "x_disable_stats": True}
    return wandb.Settings(
        silent=True,
        init_timeout=START,
        finish_timeout=FINISH,
        finish_timeout_raises=True,
        # by default, a killed process loses the last 15 s
        x_transaction_log_flush_interval=1,
        # the config has the run's commit; the current one may differ
        disable_git=True,
        # host, paths and command line are not sent; the config has the relevant facts
        x_disable_meta=True,
        **replay,
    )


def write_offline(folder: Path, exit_code: int) -> None:
    """Write a run into one `.wandb` file in its folder, which replaces earlier ones."""
    for old in (folder / "wandb").glob("offline-run-*"):
        shutil.rmtree(old)
    view = open_view(folder, read(folder), "offline")
    try:
        view.follow()
        view.complete()
    except Exception:
        # the file or W&B is incomplete
        end(view.run, exit_code or 1)
        raise
    view.run.finish(exit_code)


def deliver(view: View, exit_code: int) -> None:
    """Send the rest, end the run, and record the delivery once W&B confirms it.

    Raises:
        RunError: If W&B does not confirm it in time.
    """
    folder, run = view.folder, view.run
    named, state = read(folder), extent(folder)
    try:
        view.follow()
        is_complete = state["finished"] and run.starting_step > state["step"]
        view.complete(again=is_complete and bool(missing(named, view.model)))
        used = view.use_data(USE)
    except Exception:
        # the file or W&B is incomplete
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
    """End a wandb run; return whether wandb reports that everything was sent."""
    with contextlib.suppress(Exception):
        return within(FINISH + 1, lambda: run.finish(exit_code))
    return False


def clear_delivered(folder: Path) -> None:
    """Remove wandb's copies and logs from a run folder once W&B has everything."""
    if read(folder).get("delivered") == extent(folder):
        shutil.rmtree(folder / "wandb", ignore_errors=True)


def end_service() -> None:
    """End wandb's process with its pending work, if necessary by a kill."""
    import wandb
    from wandb.sdk import wandb_setup

    ended, connection = False, None
    with contextlib.suppress(AssertionError):
        connection = wandb_setup.singleton().assert_service()
    # wandb waits for its process without a timeout, also at exit, and has no public access to it
    process = getattr(getattr(connection, "_proc", None), "_process", None)
    with contextlib.suppress(Exception, SystemExit):
        ended = within(TEARDOWN, wandb.teardown)
    if not ended and process is not None:
        process.kill()
        process.wait()


@contextlib.contextmanager
def redirect_files(folder: Path) -> Iterator[None]:
    """Let wandb keep its data and caches in the run folder within this context; end its process afterwards."""
    folders = {name: str(folder / "wandb") for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
    # even offline, wandb would report errors to its service
    folders["WANDB_ERROR_REPORTING"] = os.environ.get("WANDB_ERROR_REPORTING", "false")
    # already decided; wandb would not start with an invalid value
    masked = ("WANDB_MODE", "WANDB_RUN_ID")
    before = {name: os.environ.get(name) for name in (*folders, *masked)}
    # wandb's process keeps the folders of its start
    end_service()
    os.environ.update(folders)
    for name in masked:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        end_service()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
