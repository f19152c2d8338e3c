"""Start-up, supervision and shutdown of a run's processes."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from subprocess import Popen

import lightning as L
from lightning.pytorch.plugins.environments import LightningEnvironment

from lightseg.errors import LightsegError

ENDING = threading.Event()
"""Set when this process has left its training, with or without an error."""

_GRACE = 15.0
"""Seconds for an orderly end of this process after another one has died."""

_LOST = re.compile(
    "connection (closed|reset|refused)|broken pipe|socket timeout|timed out waiting"
    "|ncclRemoteError|ncclSystemError|communicator was aborted",
    re.IGNORECASE,
)


def init_process_group_early(trainer: L.Trainer, task: L.LightningModule) -> bool:
    """Initialize the process group of torchrun or SLURM now instead of at the start of training.

    Returns:
        Whether there are such processes; those that Lightning starts itself are started later.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size == 1 or environment is None or isinstance(environment, LightningEnvironment):
        return False
    trainer.strategy.connect(task)
    trainer.strategy.setup_environment()
    return True


@contextlib.contextmanager
def raise_on_all_ranks(trainer: L.Trainer, is_distributed: bool) -> Iterator[None]:
    """End all processes if the block fails in the first one; the others wait at its end.

    Args:
        trainer: The trainer.
        is_distributed: Whether the processes can exchange data already.

    Raises:
        LightsegError: The error, in the first process.
        SystemExit: In the others, with the error's exit code.
    """
    error = None
    try:
        yield
    except LightsegError as raised:
        error = raised
    code = trainer.strategy.broadcast(error.exit_code if error else 0) if is_distributed else 0
    if error:
        raise error
    if code:
        sys.exit(code)


def is_loss(error: BaseException) -> bool:
    """Return whether an exception is a lost connection to another process."""
    return isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))


def describe_dead_worker(children: Sequence[Popen[bytes]], patience: float = 2.0) -> str:
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
            return f"{' and '.join(dead)}; so the others end too. What it said, if anything, stands above"
        time.sleep(0.1)
    return "another process of this run has died; what it said, if anything, stands in its own output"


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
        print(f"lightseg: error: {describe_dead_worker(children)}", file=sys.stderr, flush=True)
        for child in children:
            child.kill()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_with_parent() -> None:
    """Watch the parent in a thread; end this process when the parent has died, even if it waits for a GPU."""
    if not int(os.environ.get("LOCAL_RANK", 0)) or "TORCHELASTIC_RUN_ID" in os.environ:
        return
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
