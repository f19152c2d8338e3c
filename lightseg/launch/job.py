"""Job to launch: its size, and the command that trains."""

import re
import shlex
from dataclasses import dataclass
from functools import cached_property

from lightseg.distributed import environment
from lightseg.errors import require
from lightseg.runs import folder as run_folders
from lightseg.series.options import Request, asks_for_series, parse

RESTARTS = 3
"""Number of times that torchrun starts the processes of a run again."""

PORT = 29500
"""Port by which the machines of a run find each other."""


@dataclass(frozen=True)
class Job:
    """Run, or series of runs, to launch.

    Attributes:
        name: Name of the job.
        nodes: Machines of a run.
        gpus: GPUs of each machine, with a process for each; 0 for one process without.
        setup: Shell commands before the run.
        arguments: Arguments of `fit`.
    """

    name: str
    nodes: int
    gpus: int
    setup: list[str]
    arguments: list[str]

    @property
    def size(self) -> list[str]:
        """Options of `fit` for the size of a run."""
        return [f"--trainer.num_nodes={self.nodes}", f"--trainer.devices={self.processes}"]

    @property
    def processes(self) -> int:
        """Processes of each machine."""
        return max(1, self.gpus)

    @property
    def label(self) -> str:
        """Name of the job in letters, digits and dashes, as Kubernetes takes it."""
        words = re.sub("[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return (words if words[:1].isalpha() else f"fit-{words}")[:20].strip("-")

    @cached_property
    def identity(self) -> str:
        """Name of this job alone, by which its processes find their run again after a restart."""
        return f"{self.label}-{run_folders.new_stamp().lower()}"

    @cached_property
    def series(self) -> Request | None:
        """Series that the arguments ask for; None for a single run."""
        if not asks_for_series(self.arguments):
            return None
        request = parse(self.arguments)
        require(
            request.resumed is None,
            f"--resume {request.resumed}: goes on with a series of one machine; give it to lightseg.fit there",
        )
        return request


def on_one_machine(job: Job) -> str | None:
    """Return the shell command of a series whose runs share a machine; None for a single run.

    Raises:
        ConfigError: If the series asks for several machines.
    """
    if job.series is None:
        return None
    require(job.nodes == 1, "--nodes: the runs of a series share one machine here; leave it out, or take slurm")
    return f"python -m lightseg.fit {shlex.join(job.arguments)}"


def torchrun(job: Job, endpoint: str) -> str:
    """Return the shell command that starts the processes of a run on each machine.

    Args:
        job: A job of a single run.
        endpoint: Address of the first machine, in shell syntax.
    """
    options = f"--nnodes {job.nodes} --nproc_per_node {job.gpus} --max-restarts {RESTARTS}"
    rendezvous = f'--rdzv_backend c10d --rdzv_endpoint "{endpoint}:{PORT}" --rdzv_id {job.identity}'
    return f"torchrun {options} {rendezvous} -m lightseg.fit {shlex.join([*job.arguments, *job.size])}"


def variables(job: Job) -> dict[str, str]:
    """Return the environment variables of all processes of a run; a series needs none."""
    if job.series is not None:
        return {}
    return {
        # a restarted job goes on with its run
        environment.JOB: job.identity,
        # nodes that restart a different number of times find each other at once
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
