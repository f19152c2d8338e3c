"""Collection of data errors: the first error is raised, unless a diagnosis collects all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from lightseg.errors import DataError

_collection: ContextVar[list[DataError] | None] = ContextVar("collection", default=None)


@contextmanager
def collect_errors() -> Iterator[list[DataError]]:
    """Make `report` append to the yielded list instead of raising, so that a diagnosis sees every error."""
    errors: list[DataError] = []
    token = _collection.set(errors)
    try:
        yield errors
    finally:
        _collection.reset(token)


def report(error: DataError) -> None:
    """Raise an error, or collect it; a caller that collects errors continues without the samples that it names.

    Raises:
        DataError: The error, outside of `collect_errors`.
    """
    errors = _collection.get()
    if errors is None:
        raise error
    errors.append(error)
