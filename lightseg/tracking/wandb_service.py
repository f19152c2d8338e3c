"""W&B service as it answers, if it does: whether it can be reached, and what it says itself to have of a run."""

import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

CONNECT, ASK = 3.0, 20.0
"""Seconds to wait at most for a connection, and for the word that everything has arrived."""


def said(error: Exception) -> str:
    """Return what an error says, in one line; of a wrong setting its name and what is wrong, without its value."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        wrong = error.errors()[0]
        return f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
    return " ".join(str(error).split()) or type(error).__name__


def within(seconds: float, action: Callable[[], object]) -> bool:
    """Do what may wait for ever, such as most of wandb for a process of its own that hangs, for a while at most.

    Args:
        seconds: How long; then it goes on in a thread of its own, which this process does not wait for.
        action: What to do; what it raises is raised here.

    Returns:
        Whether it was done in time.
    """
    outcome: list[BaseException | None] = []

    def act() -> None:
        try:
            action()
            outcome.append(None)
        except BaseException as error:  # wandb exits where its process failed
            outcome.append(error)

    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    acting.join(seconds)
    if outcome and outcome[0] is not None:
        raise outcome[0]
    return bool(outcome)


def unreachable() -> str | None:
    """Return the reason why W&B, or the proxy before it, does not take a connection; None if it does."""
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
        # the time-out of a socket does not hold for the look-up of its name
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
    """Return what W&B does not say itself, asked for a while: that it has a run as far as its folder does, and its end.

    Args:
        identity: The run's `identity`.
        state: The folder's `extent`.
        model: The artifact of the checkpoint, if there is to be one.
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
        model: The artifact of the checkpoint, if there is to be one.
    """
    answer = _ask(identity)
    summary = answer.summary_metrics
    files = sorted(set(_files(summary)))
    file_names = {file.name for file in answer.files(names=files) if file.size} if files else set()
    committed = {
        artifact.name.partition(":")[0] for artifact in answer.logged_artifacts() if artifact.state == "COMMITTED"
    }
    # of each table W&B makes one, whose name is made of letters it likes, and a random end if there were others
    tables = [name for name, value in summary.items() if isinstance(value, dict) and "artifact_path" in value]
    artifacts = [f"run-{identity['id']}-{re.sub(r'[^a-zA-Z0-9_.-]', '', name)}" for name in tables]
    artifacts += [model] if model else []
    absent = [name for name in artifacts if not any(name_sent.startswith(name) for name_sent in committed)]
    return [file for file in files if file not in file_names] + absent


def _ask(identity: dict[str, Any]) -> Any:
    import wandb

    return wandb.Api(timeout=5).run(f"{identity['entity']}/{identity['project']}/{identity['id']}")


def _files(shown: Any) -> Iterator[str]:
    """Yield the files that a summary speaks of."""
    if isinstance(shown, str):
        if shown.startswith("media/"):
            yield shown
    elif isinstance(shown, dict | list):
        for value in shown.values() if isinstance(shown, dict) else shown:
            yield from _files(value)
