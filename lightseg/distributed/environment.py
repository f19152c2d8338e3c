"""Environment variables shared by the processes of a run, and by the runs of a series."""

import contextlib
import os
import re
import traceback
from collections.abc import Iterator, Mapping

from lightseg.errors import ConfigError, UserError

RESUMED = "LIGHTSEG_RESUMED"
"""Run folder to resume, for the processes that the first one starts; empty for a new run."""

PRECISION = "LIGHTSEG_PRECISION"
"""Precision for `trainer.precision: auto`, instead of a measurement."""

FINDINGS = "LIGHTSEG_FINDINGS"
"""File with the findings of `--find`, which are not searched again."""

LATENCY = "LIGHTSEG_LATENCY"
"""Set for a run whose latency is measured at its end, for a search."""

RUN_NAME = "LIGHTSEG_RUN_NAME"
"""Name of the run folder, for a run of a series."""

SERIES_PROCESS = "LIGHTSEG_SERIES_PROCESS"
"""Number of the process that has started this run of a series."""

LAUNCHER_PROCESS = "LIGHTSEG_LAUNCHER_PROCESS"
"""Number of the process of a launcher that has started this one."""

JOB = "LIGHTSEG_JOB"
"""Name of a job, the same after each of its restarts, that is of no other job."""

CORES = "LIGHTSEG_CORES"
"""Cores for this process and those that it starts; without it, all that the system allows."""


_NUMBERS = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_RESTART_COUNT", "JSM_NAMESPACE_RANK"),
)
"""Variables by which torchrun, Lightning and SLURM number processes; Lightning reads some while it is imported."""

_OPENCV_SIZES = "(IO_MAX_IMAGE|IMGCODECS|THREAD_POOL|TRACE_(DEPTH|MAX))_.*|KMEANS_.*_GRANULARITY|OPENCL_ALIGNMENT_.*"
_OPENCV_SWITCHES = (
    "BUFFER_AREA_ALWAYS_SAFE|DUMP_(CONFIG|ERRORS)|ENABLE_MEMALIGN|SKIP_CPU_BASELINE_CHECK|VIDEO.*_DEBUG"
    "|OPENCL_(CACHE_(CLEANUP|ENABLE|LOCK_ENABLE|WRITE)|DISABLE_BUFFER_.*|ENABLE_MEM_.*|VALIDATE_.*)"
    "|TRACE|TRACE_(ITT_(ENABLE|PARENT|SET_THREAD_NAME)|SYNC_OPENCL)"
)
_ALLOCATOR_OPTION = r"\s*\w+\s*:\s*(\[[^\[\]]*\]|[^\s,:\[\]][^,:\[\]]*)"

_FORMS = (
    ("|".join(_NUMBERS), "[0-9]+", "no number"),
    (CORES, "[1-9][0-9]*", "no number of cores"),
    (f"OPENCV_({_OPENCV_SIZES})", "[0-9]{1,18}([KM]B|[KM]b|[km]b)?", "no number of OpenCV, such as 1000 or 64MB"),
    (f"OPENCV_({_OPENCV_SWITCHES})", "[01]|[Tt]rue|TRUE|[Ff]alse|FALSE", "neither True nor False"),
    (
        "PYTORCH_(CUDA_)?ALLOC_CONF",
        f"({_ALLOCATOR_OPTION}(,{_ALLOCATOR_OPTION})*,?)?",
        "no list of options, such as expandable_segments:True,max_split_size_mb:128",
    ),
)
"""Names of variables, the form of their values, and the words for another one.

OpenCV and torch read theirs while they are imported, and abort the process where one has another form.
"""


def require_readable() -> None:
    """Check the environment variables whose values Lightning, OpenCV or torch cannot survive misreading.

    Raises:
        UserError: If one has another form than its library reads.
    """
    for name, value in sorted(os.environ.items()):
        for names, form, fault in _FORMS:
            if re.fullmatch(names, name) and not re.fullmatch(form, value):
                raise UserError(f"{name}: the environment sets it to {value[:40]!r}, which is {fault}; unset {name}")


def local_rank() -> int:
    """Return the number of this process among those of its machine.

    A LOCAL_RANK without a MASTER_PORT is left over from another program, since no process could find the others by it.
    """
    names = ("LOCAL_RANK", "SLURM_LOCALID") if "MASTER_PORT" in os.environ else ("SLURM_LOCALID",)
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


def describe_misread(error: Exception) -> str | None:
    """Return the message for a library that rejects a variable at its import; None for other errors."""
    frames = traceback.extract_tb(error.__traceback__)
    if not any(frame.name == "<module>" and "site-packages" in frame.filename for frame in frames):
        return None
    words = set(re.findall(r"[A-Z][A-Z_]{4,}", " ".join([str(error), *(frame.line or "" for frame in frames)])))
    for name in sorted(words & set(os.environ)):
        reason = " ".join(str(error).split())[:100]
        return f"{name}: the environment sets it to {os.environ[name][:40]!r}: {reason}; unset {name}"
    return None


def explain_missing_variable(error: KeyError) -> ConfigError | None:
    """Return the error of a launcher that has set only some of its variables; None for other keys."""
    name = str(error.args[0]) if error.args else ""
    if name not in _NUMBERS or name in os.environ:
        return None
    launcher, start = ("SLURM", "srun") if name.startswith("SLURM") else ("torchrun", "torchrun")
    return ConfigError(
        f"trainer: the environment has variables of {launcher}, but not {name}; start the command by {start}, or unset "
        f"{'SLURM_NTASKS' if launcher == 'SLURM' else 'TORCHELASTIC_RUN_ID'}"
    )


def without_launcher() -> dict[str, str]:
    """Return the environment without the variables of a launcher, for a process that is none of the run."""
    names = (*_NUMBERS, "MASTER_ADDR")
    prefixes = ("SLURM_", "TORCHELASTIC_")
    return {name: value for name, value in os.environ.items() if name not in names and not name.startswith(prefixes)}


@contextlib.contextmanager
def inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within this context, for child processes too."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
