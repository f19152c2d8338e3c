"""What happens to the other processes of a run when one of them dies: they end too, and say why."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from subprocess import Popen

_LOST = re.compile(
    "connection (closed|reset|refused)|broken pipe|socket timeout|timed out waiting"
    "|ncclRemoteError|ncclSystemError|communicator was aborted",
    re.IGNORECASE,
)


def is_loss(error: BaseException) -> bool:
    """Whether an exception is what a process sees of another one's death."""
    return isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))


def obituary(children: Sequence[Popen[bytes]], patience: float = 2.0) -> str:
    """Which of the processes that this one started has died, and how.

    Args:
        children: They have ranks from 1 on.
        patience: Seconds to wait for the news.
    """
    until = time.monotonic() + patience
    while time.monotonic() < until:
        ended = {rank: child.poll() for rank, child in enumerate(children, 1)}
        dead = [f"rank {rank} {_how(code)}" for rank, code in ended.items() if code]
        if dead:
            return f"{' and '.join(dead)}; so the others end too. What it said, if anything, stands above"
        time.sleep(0.1)
    return "another process of this run has died; what it said, if anything, stands in its own output"


def end_with_parent() -> None:
    """Let a process that another one has started not outlive it, not even where it waits for a GPU."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        rank = os.environ.get("LOCAL_RANK", "?")
        print(f"lightseg: error: rank 0 has died; so rank {rank} ends too", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
