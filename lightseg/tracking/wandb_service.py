"""Queries to the W&B service: availability, and the parts of a run that it has received."""

import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

CONNECT, ASK = 3.0, 20.0
"""Timeouts in seconds: connection, and confirmation of a run."""


def describe_error(error: Exception) -> str:
    """Return an error's message on one line; for a wrong setting its name and problem, without its value."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        wrong = error.errors()[0]
        return f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
    return " ".join(str(error).split()) or type(error).__name__


def within(seconds: float, action: Callable[[], object]) -> bool:
    """Run an action that may block forever, such as a call to wandb's hanging process, with a timeout.

    Args:
        seconds: The timeout, after which the action continues in a daemon thread.
        action: The action; its errors are raised here.

    Returns:
        Whether it has finished in time.
    """
    outcome: list[BaseException | None] = []

    def act() -> None:
        try:
            action()
            outcome.append(None)
        except BaseException as error:  # wandb raises SystemExit if its process failed
            outcome.append(error)

    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    acting.join(seconds)
    if outcome and outcome[0] is not None:
        raise outcome[0]
    return bool(outcome)


def unreachable() -> str | None:
    """Return the reason why W&B, or its proxy, does not accept a connection; None if it does."""
    import wandb

    settings = wandb.setup(settings=wandb.Settings(silent=True)).settings
    url = urlsplit(settings.base_url)
    proxies = {**urllib.request.getproxies(), **_own_proxies(settings)}
    setting = "WANDB_BASE_URL"
    try:
        if url.scheme in proxies and not urllib.request.proxy_bypass(url.hostname or ""):
            proxy, setting = proxies[url.scheme], f"{url.scheme}_proxy"
            url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        address = (url.hostname or "", url.port or {"http": 80}.get(url.scheme, 443))
    except ValueError as error:
        return f"{setting}: is no address: {error}"
    try:
        # the timeout of a socket excludes the name resolution
        if within(CONNECT, lambda: socket.create_connection(address, CONNECT).close()):
            return None
        problem = f"no answer within {CONNECT:.0f} s"
    except OSError as error:
        problem = str(error)
    return f"{url.hostname} does not answer: {problem}"


def _own_proxies(settings: Any) -> dict[str, str]:
    proxies = {"http": settings.http_proxy, "https": settings.https_proxy}
    return {scheme: proxy for scheme, proxy in proxies.items() if proxy}


def unconfirmed(identity: dict[str, Any], state: dict[str, Any], model: str | None) -> str | None:
    """Query W&B for a while; return what it does not confirm of a run, None if it has everything.

    Args:
        identity: The run's `identity`.
        state: The folder's `extent`.
        model: Name of the checkpoint's artifact, if there is one.
    """
    until = time.monotonic() + ASK
    problem: str | None = "W&B has not confirmed yet that it has everything"
    while problem and time.monotonic() < until:
        answer = _ask(identity)
        arrived = answer.lastHistoryStep >= state["step"] and answer.historyLineCount >= state["rows"]
        if arrived and (answer.state == "finished" or not state["finished"]):
            absent = missing(identity, model)
            problem = f"W&B has not confirmed yet that it has {absent[0]} and the like" if absent else None
        if problem:
            time.sleep(0.5)
    return problem


def missing(identity: dict[str, Any], model: str | None) -> list[str]:
    """Return the pictures, tables, panels and artifacts of a run that W&B does not have yet.

    Args:
        identity: The run's `identity`.
        model: Name of the checkpoint's artifact, if there is one.
    """
    answer = _ask(identity)
    summary = answer.summary_metrics
    files = sorted(set(_files(summary)))
    file_names = {file.name for file in answer.files(names=files) if file.size} if files else set()
    committed = {
        artifact.name.partition(":")[0] for artifact in answer.logged_artifacts() if artifact.state == "COMMITTED"
    }
    # W&B stores each table as an artifact, with a sanitized name and a possible random suffix
    tables = [name for name, value in summary.items() if isinstance(value, dict) and "artifact_path" in value]
    artifacts = [f"run-{identity['id']}-{re.sub(r'[^a-zA-Z0-9_.-]', '', name)}" for name in tables]
    artifacts += [model] if model else []
    absent = [name for name in artifacts if not any(name_sent.startswith(name) for name_sent in committed)]
    return [file for file in files if file not in file_names] + absent


def _ask(identity: dict[str, Any]) -> Any:
    import wandb

    return wandb.Api(timeout=5).run(f"{identity['entity']}/{identity['project']}/{identity['id']}")


def _files(shown: Any) -> Iterator[str]:
    """Yield the files that a summary refers to."""
    if isinstance(shown, str):
        if shown.startswith("media/"):
            yield shown
    elif isinstance(shown, dict | list):
        for value in shown.values() if isinstance(shown, dict) else shown:
            yield from _files(value)
