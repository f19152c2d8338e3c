"""Job that a scheduler runs: its name, whether it was started again, and how it is queued again."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path


def job() -> str | None:
    """Return the scheduler's name for this job, the same after a restart; None where there is no scheduler."""
    if "SLURM_JOB_ID" in os.environ:
        return f"slurm-{os.environ['SLURM_JOB_ID']}"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        name = os.environ["TORCHELASTIC_RUN_ID"]
        # what torchrun is not told it calls none; then the address of the job tells it from others
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}" if name == "none" else ""
        return f"torchrun-{name}{address}"
    return None


def restarted(created: float) -> bool:
    """Return whether this job has been started again since it made a run folder, `created` seconds after 1970 began."""
    if any(int(os.environ.get(name, 0)) > 0 for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")):
        return True
    # torchrun counts only the failures of its own node; but it outlives the processes that it starts
    return "TORCHELASTIC_RUN_ID" in os.environ and created > _started(os.getppid())


def _started(process: int) -> float:
    """When a process was started, in seconds since 1970; never, where that cannot be known."""
    try:
        ticks = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
        boot = re.search(r"^btime (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
    except (OSError, ValueError, IndexError):
        return math.inf
    return int(boot[1]) + ticks / os.sysconf("SC_CLK_TCK") if boot else math.inf


def requeue() -> None:
    """Ask SLURM, if it runs this job, to start it again; then the run goes on by itself."""
    if "SLURM_JOB_ID" in os.environ:
        try:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False)
        except OSError as error:
            print(f"warning: scontrol: {error.strerror}; the job is not queued again", file=sys.stderr, flush=True)
