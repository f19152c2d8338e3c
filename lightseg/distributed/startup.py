"""Start-up of a run's processes, and an end of all of them by an error of the first one."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.utilities import rank_zero_only

from lightseg.errors import ConfigError

NO_FILE = (
    "devices: several need this program once for each, and one from stdin, `-c` or a notebook cannot be started again; "
    "run a script or `python -m lightseg.fit`, or take one device"
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
    cluster = _cluster_environment(trainer)
    needed = trainer.num_devices * trainer.num_nodes
    if isinstance(cluster, TorchElasticEnvironment):
        _require_count("WORLD_SIZE", int(os.environ.get("WORLD_SIZE", 1)), needed, "torchrun", "TORCHELASTIC_RUN_ID")
    elif isinstance(cluster, SLURMEnvironment):
        _require_count("SLURM_NTASKS", trainer.world_size, needed, "srun", "SLURM_NTASKS")
    elif isinstance(cluster, LightningEnvironment) and needed > 1:
        _require_complete(trainer.num_nodes)
        if "LOCAL_RANK" not in os.environ and not _has_file():
            raise ConfigError(NO_FILE)


def _cluster_environment(trainer: L.Trainer) -> ClusterEnvironment | None:
    """Return the launcher of the processes; a strategy of one device does not know it."""
    cluster: ClusterEnvironment | None = getattr(trainer.strategy, "cluster_environment", None)
    return TorchElasticEnvironment() if cluster is None and TorchElasticEnvironment.detect() else cluster


def slurm_without_requeue(plugins: list[Any]) -> list[SLURMEnvironment]:
    """Keep Lightning from saving and requeuing SLURM jobs, since lightseg does so itself.

    Args:
        plugins: Plugins of the recipe; those of SLURM are changed.

    Returns:
        The plugin to add: that of SLURM, where Lightning would choose it.
    """
    clusters = [plugin for plugin in plugins if isinstance(plugin, ClusterEnvironment)]
    if not clusters and SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        return [SLURMEnvironment(auto_requeue=False)]
    for cluster in clusters:
        if isinstance(cluster, SLURMEnvironment):
            cluster.auto_requeue = False
    return []


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
    cluster = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size == 1 or cluster is None or isinstance(cluster, LightningEnvironment):
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
