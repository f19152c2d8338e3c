"""Supervision of a run's processes: none outlives another, and the one that died is named."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from subprocess import Popen

from lightseg.distributed import environment
from lightseg.distributed.exit_codes import signal_name

ENDING = threading.Event()
"""Set when this process has left its training, with or without an error."""

_GRACE = 15.0
"""Seconds for an orderly end of this process after another one has died."""

_STOP = 120.0
"""Seconds for a run to save its state and stop, after the process of its series has died."""

BEFORE_KILL = contextlib.ExitStack()
"""Callbacks for the case that another process has died and this one hangs, so that no `finally` is reached."""

_LOST = re.compile(
    "connection (closed|reset|refused)|broken pipe|socket timeout|timed out waiting"
    "|ncclRemoteError|ncclSystemError|communicator was aborted",
    re.IGNORECASE,
)


def is_lost_connection(error: BaseException) -> bool:
    """Return whether an exception is a lost connection to another process."""
    return isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))


def describe_dead_process(children: Sequence[Popen[bytes]], patience: float = 2.0) -> str:
    """Return a message about the child processes that have died: rank and exit code or signal.

    Args:
        children: Processes of ranks 1, 2, ….
        patience: Seconds to wait for the exit of a child.
    """
    until = time.monotonic() + patience
    while time.monotonic() < until:
        ended = {rank: child.poll() for rank, child in enumerate(children, 1)}
        dead = [f"rank {rank} {_how(code)}" for rank, code in ended.items() if code]
        if dead:
            return f"{' and '.join(dead)}; the other processes are ended, too. Its messages, if any, are above"
        time.sleep(0.1)
    return "another process of this run has died; its messages, if any, are in its own output"


def watch_over(children: Sequence[Popen[bytes]]) -> None:
    """Watch the child processes in a thread; end this process with a message if it hangs after one has died.

    Args:
        children: Processes of ranks 1, 2, ….
    """

    def watch() -> None:
        while not any(child.poll() for child in children):
            if all(child.returncode == 0 for child in children):
                return
            time.sleep(1)
        if ENDING.wait(_GRACE):
            return
        print(f"lightseg: error: {describe_dead_process(children)}", file=sys.stderr, flush=True)
        for child in children:
            child.kill()
        BEFORE_KILL.close()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_with_parent() -> None:
    """Let a process that another one of the run has started not outlive it, not even where it waits for a GPU."""
    if not environment.local_rank() or "LOCAL_RANK" not in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        return
    _end_with(os.getppid(), f"rank 0 has died; rank {os.environ.get('LOCAL_RANK', '?')} is ended, too")


def end_with_launcher() -> None:
    """Let a process not outlive that of a launcher, which would start it again beside this one."""
    number = os.environ.pop(environment.LAUNCHER_PROCESS, None)
    if number is not None:
        _end_with(int(number), "the process of the launcher has died; this one ends, too")


def stop_with_series() -> None:
    """Let a run of a series not outlive the process that started it: it saves its state and stops."""
    number = os.environ.pop(environment.SERIES_PROCESS, None)
    if number is None:
        return

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_STOP)

    _end_with(int(number), "the process of the series has died; this run stops, too", stop)


def _end_with(parent: int, message: str, stop: Callable[[], None] = lambda: None) -> None:
    """End this process once its parent has died.

    Args:
        parent: Number of the parent process.
        message: Message for the user.
        stop: Function that is called first.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        print(f"lightseg: error: {message}", file=sys.stderr, flush=True)
        stop()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _how(code: int) -> str:
    return f"was killed by {signal_name(-code) or f'signal {-code}'}" if code < 0 else f"failed with exit code {code}"
