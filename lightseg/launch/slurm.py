"""SLURM: a script for sbatch."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lightseg.errors import RunError, require
from lightseg.files.printable import printable
from lightseg.launch.job import Job
from lightseg.runs.folder import new_stamp

_SIZE = ("array", "nodes", "ntasks", "ntasks-per-node", "gpus-per-node")
"""Options of sbatch that `fit` is told as well."""

_SIGNAL = "USR1@120"
"""Signal on which a run saves its state and asks to be queued again, and its seconds before the time limit."""


def render(job: Job, partition: str | None, time: str | None, cpus: int | None, options: Sequence[str]) -> str:
    """Return the script of a job; a series is an array with a task for each run.

    Args:
        job: The job.
        partition: Partition of the cluster; None for its default.
        time: Time limit; None for that of the partition.
        cpus: Cores of each process; None for the default of the cluster.
        options: Further options of sbatch as KEY=VALUE.
    """
    directives = {
        "job-name": job.name,
        "nodes": job.nodes,
        "ntasks-per-node": job.gpus,
        "gpus-per-node": job.gpus,
        "cpus-per-task": cpus,
        "partition": partition,
        "time": time,
        "array": _array(job),
        "signal": _SIGNAL,
        "requeue": "",
        "open-mode": "append",
        "output": "%x-%A_%a.out" if job.series else "%x-%j.out",
    }
    for option in options:
        key, _, value = option.removeprefix("--").partition("=")
        require(key.replace("-", "").isalnum(), f"--sbatch {option}: give KEY=VALUE, such as account=lab")
        require(key not in _SIZE, f"--sbatch {key}: follows from --nodes, --gpus and the series; leave it out")
        directives[key] = value
    lines = [_directive(key, value) for key, value in directives.items() if value is not None]
    # srun does not take it from sbatch
    cores = [f"export SRUN_CPUS_PER_TASK={cpus}"] if cpus else []
    body = [f"cd {shlex.quote(str(Path.cwd()))}", *job.setup, *cores, *_choose_run(job), _command(job)]
    return "\n".join(["#!/bin/bash", *lines, "", *body, ""])


def submit(script: str) -> str:
    """Give a script to sbatch; return its answer.

    Raises:
        RunError: If sbatch is missing, or refuses the job.
    """
    try:
        done = subprocess.run(["sbatch"], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RunError(
            f"sbatch: {error.strerror}; launch from a login node of the cluster, or take --dry-run"
        ) from None
    if done.returncode:
        raise RunError(f"sbatch: refuses the job: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return printable(done.stdout)


def _directive(key: str, value: object) -> str:
    text = str(value)
    require(text.isprintable(), f"--{key}: {text!r} has a character that no line of the script can have")
    # sbatch takes quotes as a shell does
    return f"#SBATCH --{key}={shlex.quote(text)}" if text else f"#SBATCH --{key}"


def _array(job: Job) -> str | None:
    if job.series is None:
        return None
    limit = f"%{job.series.jobs}" if job.series.jobs else ""
    return f"0-{len(job.series.runs) - 1}{limit}"


def _choose_run(job: Job) -> list[str]:
    """Return the lines that set `options` to those of the run of this task."""
    if job.series is None:
        return []
    indices = range(len(job.series.runs))
    cases = [f"  {index}) options=({shlex.join(job.series.options(index))}) ;;" for index in indices]
    return ['case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"]


def _command(job: Job) -> str:
    start = f"srun --kill-on-bad-exit=1 {shlex.quote(sys.executable)} -m lightseg.fit"
    if job.series is None:
        return f"{start} {shlex.join([*job.arguments, *job.size])}"
    group = job.series.group or f"{job.name}-{new_stamp()}"
    return f'{start} {shlex.join([*job.series.arguments, *job.size, f"--group={group}"])} "${{options[@]}}"'
