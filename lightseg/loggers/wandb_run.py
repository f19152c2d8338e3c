"""One W&B run for one run folder: what it is called, whether W&B can be reached, and how it is opened and ended.

Nothing in here asks a question or waits without end, and all that wandb writes is in the run folder.
"""

import contextlib
import io
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from lightseg.errors import ConfigError, RunError
from lightseg.loggers.wandb_view import View, config, extent
from lightseg.run import write_json

Mode = Literal["auto", "online", "offline", "disabled"]

CONNECT, START, FINISH, ASK = 3.0, 30.0, 20.0, 10.0
"""Seconds to wait at most for a connection, for the start of a run, for its end, and for what has arrived."""

_FILE = "wandb.json"


def choose(mode: Mode) -> tuple[Mode, str]:
    """The mode to run in, and why, as far as this machine alone can know; WANDB_MODE decides before a recipe.

    Raises:
        ConfigError: If it must be online, and there is no key or one that cannot be.
    """
    wanted = os.environ.get("WANDB_MODE") or ("online" if "WANDB_SWEEP_ID" in os.environ else mode)
    wanted = {"dryrun": "offline", "run": "online", "shared": "online"}.get(wanted, wanted)
    if wanted == "disabled":
        return "disabled", "asked for"
    if wanted == "offline":
        return "offline", "asked for"
    import wandb

    try:
        # looks for a key without a question, and without W&B, and would say where it found one
        with (
            contextlib.redirect_stderr(io.StringIO()),
            tempfile.TemporaryDirectory() as nowhere,
            inside(Path(nowhere)),
        ):
            found, problem = wandb.login(prompt=False, verify=False), "no API key; run `wandb login`"
    except wandb.errors.AuthenticationError as error:
        found, problem = False, str(error)
    if not found and wanted == "online":
        raise ConfigError(f"W&B cannot be online: {problem}, or set WANDB_API_KEY, or take mode: offline")
    return ("online", "there is a key") if found else ("offline", problem)


def unreachable() -> str | None:
    """What keeps W&B from being reached, if it does not even take a connection."""
    import wandb

    url = urlsplit(wandb.setup(settings=wandb.Settings(silent=True)).settings.base_url)
    try:
        socket.create_connection((url.hostname or "", url.port or {"http": 80}.get(url.scheme, 443)), CONNECT).close()
    except OSError as error:
        return f"{url.hostname} does not answer: {error}"
    return None


def read(folder: Path) -> dict[str, Any]:
    """What is known of a folder's W&B run: id, project and so on, and what W&B has of it; empty if there is none."""
    path = folder / _FILE
    return json.loads(path.read_text()) if path.exists() else {}


def write(folder: Path, known: dict[str, Any]) -> None:
    """Keep what is known of a folder's W&B run."""
    write_json(folder / _FILE, known)


def identity(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What the folder's W&B run is called: as it was at first, so that a resumed run is the same one.

    Args:
        folder: The run folder.
        asked: What the recipe or the command line asks for; a place other than before makes it a new run.
    """
    known = read(folder)
    asked = {key: value for key, value in asked.items() if value is not None}
    place = ("id", "project", "entity")
    moved = any(key in asked and known.get(key) not in (None, asked[key]) for key in place)
    if known and not moved:
        return known
    group = yaml.safe_load((folder / "config.yaml").read_text()).get("group") or folder.parent.name
    fresh = {"name": f"{folder.parent.name}-{folder.name}", "group": group}
    return {"id": secrets.token_hex(4), **fresh, **{k: v for k, v in known.items() if k != "delivered"}, **asked}


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
        live: Whether the run is training in this process; then its machine and output are shown too.
        place: Where wandb writes to; the run folder if left out.
    """
    import wandb

    replay: dict[str, Any] = {} if live else {"console": "off", "x_disable_stats": True, "x_disable_meta": True}
    settings = wandb.Settings(
        silent=True,
        init_timeout=START,
        finish_timeout=FINISH,
        finish_timeout_raises=True,
        # a kill would lose the 15 s that it keeps by default
        x_transaction_log_flush_interval=1,
        # the commit of the run is in its config; that of now may be another
        disable_git=True,
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
        view.use_data()
    return view


def write_offline(folder: Path, exit_code: int) -> None:
    """Write all of a run into one `.wandb` file in its folder, instead of an earlier one of a part of it."""
    for old in (folder / "wandb").glob("offline-run-*"):
        shutil.rmtree(old)
    view = open_view(folder, read(folder), "offline")
    view.follow()
    view.complete()
    view.run.finish(exit_code)


def deliver(view: View, exit_code: int) -> None:
    """Send what is left, end the run, and remember what W&B has of it when it says so itself.

    Raises:
        RunError: If W&B does not say so in time.
    """
    folder = view.folder
    view.follow()
    view.complete()
    try:
        view.run.finish(exit_code)
    except TimeoutError:
        raise RunError(f"W&B did not take everything within {FINISH:.0f} s") from None
    there, named = extent(folder), read(folder)
    if not has_arrived(named, there):
        raise RunError("W&B does not say that everything has arrived")
    write(folder, {**named, "delivered": there})


def let_go() -> None:
    """End wandb's own process, and with it what it has not been able to do."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Let wandb keep payloads and caches in the run folder, not in the home of whoever runs it; it ends with this."""
    import wandb

    own = {name: str(folder / "wandb") for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
    # offline too it would send numbers about itself, and complain where they are not taken
    own["WANDB_ERROR_REPORTING"] = os.environ.get("WANDB_ERROR_REPORTING", "false")
    before = {name: os.environ.get(name) for name in own}
    # its process knows only the places that it was started with
    wandb.teardown()
    os.environ.update(own)
    try:
        yield
    finally:
        let_go()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def has_arrived(named: dict[str, Any], there: dict[str, Any]) -> bool:
    """Whether W&B itself says that it has a run as far as its folder does, and its end.

    Args:
        named: The run's `identity`.
        there: The folder's `extent`.
    """
    import wandb

    path, until = f"{named['entity']}/{named['project']}/{named['id']}", time.monotonic() + ASK
    while time.monotonic() < until:
        found = wandb.Api(timeout=5).run(path)
        if found.lastHistoryStep >= there["step"] and (found.state == "finished" or not there["finished"]):
            return True
        time.sleep(0.5)
    return False
