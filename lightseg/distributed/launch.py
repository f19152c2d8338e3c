"""Start-up, supervision and shutdown of a run's processes."""

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import Popen

import lightning as L
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only

from lightseg.distributed import environment
from lightseg.distributed.exit_codes import signal_name
from lightseg.errors import ConfigError

ENDING = threading.Event()
"""Set when this process has left its training, with or without an error."""

NO_FILE = (
    "devices: several need this program once for each, and one from stdin, `-c` or a notebook cannot be started again; "
    "run a script or `python -m lightseg.fit`, or take one device"
)

_GRACE = 15.0
"""Seconds for an orderly end of this process after another one has died."""

BEFORE_KILL = contextlib.ExitStack()
"""Callbacks for the case that another process has died and this one hangs, so that no `finally` is reached."""

_LOST = re.compile(
    "connection (closed|reset|refused)|broken pipe|socket timeout|timed out waiting"
    "|ncclRemoteError|ncclSystemError|communicator was aborted",
    re.IGNORECASE,
)


def check_processes(trainer: L.Trainer) -> None:
    """Check that the environment numbers the processes that the trainer needs.

    Where it needs one, variables that number processes are left over from another program, and are ignored; where it
    needs more, those of a launcher must be complete.

    Args:
        trainer: The trainer.

    Raises:
        ConfigError: If it would wait for processes that nobody starts, or train the same run in each of them.
    """
    # Lightning takes it from the first of these variables, and corrects it for strategies of several processes only
    rank_zero_only.rank = trainer.global_rank  # type: ignore[attr-defined]
    # a strategy of one device does not know its launcher, and Lightning has no public name for it
    cluster = trainer._accelerator_connector.cluster_environment
    needed = trainer.num_devices * trainer.num_nodes
    if isinstance(cluster, TorchElasticEnvironment):
        _require_count("WORLD_SIZE", int(os.environ.get("WORLD_SIZE", 1)), needed, "torchrun", "TORCHELASTIC_RUN_ID")
    elif isinstance(cluster, SLURMEnvironment):
        _require_count("SLURM_NTASKS", trainer.world_size, needed, "srun", "SLURM_NTASKS")
    elif isinstance(cluster, LightningEnvironment) and needed > 1:
        _require_complete(trainer.num_nodes)
        if "LOCAL_RANK" not in os.environ and not _has_file():
            raise ConfigError(NO_FILE)


def _require_count(name: str, count: int, needed: int, launcher: str, marker: str) -> None:
    """Raise `ConfigError` unless a launcher has started as many processes as the trainer needs."""
    if count != needed:
        raise ConfigError(
            f"{name}: the environment is that of {count} processes, but devices × num_nodes is {needed}; set "
            f"trainer.devices, start {needed} by {launcher}, or unset {marker}"
        )


def _require_complete(num_nodes: int) -> None:
    """Raise `ConfigError` if variables are left over by which Lightning would number processes."""
    if "LOCAL_RANK" in os.environ and "MASTER_PORT" not in os.environ:
        raise ConfigError(
            "LOCAL_RANK: the environment sets it, but not MASTER_PORT, by which processes find each other; "
            "start the command by torchrun, or unset LOCAL_RANK"
        )
    for name in ("NODE_RANK", "GROUP_RANK"):
        rank = int(os.environ.get(name, 0))
        if rank >= num_nodes:
            raise ConfigError(f"{name}: the environment sets it to {rank}, but num_nodes is {num_nodes}; unset {name}")


def _has_file() -> bool:
    """Return whether Lightning can start the program of this process again: as a module, or as a file."""
    return sys.modules["__main__"].__spec__ is not None or Path(sys.argv[0]).is_file()


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
        Exception: The error, in the first process.
        SystemExit: In the others, with the error's exit code.
    """
    error = None
    try:
        yield
    except Exception as raised:
        error = raised
    exit_code = getattr(error, "exit_code", 1) if error else 0
    code = trainer.strategy.broadcast(exit_code) if is_distributed else 0
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
        BEFORE_KILL.close()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_with_parent() -> None:
    """Let a process that another one of the run has started not outlive it, not even where it waits for a GPU."""
    if not environment.local_rank() or "LOCAL_RANK" not in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
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
    return f"was killed by {signal_name(-code) or f'signal {-code}'}" if code < 0 else f"failed with exit code {code}"
