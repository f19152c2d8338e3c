"""Environment variables by which the processes of a run, and the runs of a series, agree."""

import contextlib
import os
from collections.abc import Iterator, Mapping

RESUMED = "LIGHTSEG_RESUMED"
"""Run folder that goes on, for the processes that another one of the run starts; empty for a new run."""

PRECISION = "LIGHTSEG_PRECISION"
"""What `trainer.precision: auto` stands for, instead of a measurement."""


@contextlib.contextmanager
def inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, for the processes that this one starts, and restore those of before."""
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
