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


_NUMBERS = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_RESTART_COUNT", "JSM_NAMESPACE_RANK"),
)
"""Variables by which torchrun, Lightning and SLURM number processes; Lightning reads some while it is imported."""


def require_numbers() -> None:
    """Check that the variables with ranks and numbers of processes are integers.

    Raises:
        UserError: If one is not.
    """
    for name in _NUMBERS:
        value = os.environ.get(name, "0")
        if not (value.isascii() and value.isdecimal()):
            raise UserError(f"{name}: the environment sets it to {value[:40]!r}, which is no number; unset {name}")


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


def missing(error: KeyError) -> ConfigError | None:
    """Return the error of a launcher that has set only some of its variables; None for other keys."""
    name = str(error.args[0]) if error.args else ""
    if name not in _NUMBERS or name in os.environ:
        return None
    launcher, start = ("SLURM", "srun") if name.startswith("SLURM") else ("torchrun", "torchrun")
    return ConfigError(
        f"trainer: the environment has variables of {launcher}, but not {name}; start the command by {start}, or unset "
        f"{'SLURM_NTASKS' if launcher == 'SLURM' else 'TORCHELASTIC_RUN_ID'}"
    )


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
