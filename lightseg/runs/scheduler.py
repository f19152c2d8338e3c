"""Job of a scheduler (SLURM, torchrun, or as `launch` names it): name, restarts, and requeueing."""

import math
import os
import re
import subprocess
from pathlib import Path

from lightseg.distributed import environment
from lightseg.files.printable import warn


def job() -> str | None:
    """Return the name of this job, which is the same after a restart; None without a scheduler."""
    if environment.JOB in os.environ:
        return f"job-{os.environ[environment.JOB]}"
    if "SLURM_JOB_ID" in os.environ:
        return f"slurm-{os.environ['SLURM_JOB_ID']}"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        name = os.environ["TORCHELASTIC_RUN_ID"]
        # the default name of torchrun is `none`; the address tells such jobs apart
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}" if name == "none" else ""
        return f"torchrun-{name}{address}"
    return None


def restarted(created: float) -> bool:
    """Return whether this job has been restarted since it created a run folder.

    Args:
        created: Creation time of the run folder, in seconds since 1970.
    """
    if environment.JOB in os.environ:
        # no other job has its name
        return True
    if any(int(os.environ.get(name, 0)) > 0 for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")):
        return True
    # torchrun counts only the failures of this node, but its process is older than those that it restarts
    return "TORCHELASTIC_RUN_ID" in os.environ and created > _start_time(os.getppid())


def _start_time(process: int) -> float:
    """Return the start time of a process in seconds since 1970; infinity where it is unknown."""
    try:
        ticks = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
        boot = re.search(r"^btime (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
    except (OSError, ValueError, IndexError):
        return math.inf
    return int(boot[1]) + ticks / os.sysconf("SC_CLK_TCK") if boot else math.inf


def requeue() -> None:
    """Requeue this job if SLURM runs it, so that the run resumes."""
    if "SLURM_JOB_ID" in os.environ:
        try:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False)
        except OSError as error:
            warn(f"scontrol: {error.strerror}; the job is not queued again")
