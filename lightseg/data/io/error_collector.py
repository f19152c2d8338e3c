"""Problems of data: the first one ends what is being done, unless somebody collects all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from lightseg.errors import DataError

_collection: ContextVar[list[DataError] | None] = ContextVar("collection", default=None)


@contextmanager
def collecting() -> Iterator[list[DataError]]:
    """Let `report` add to the list that is given instead of raising, so that a diagnosis finds all there is."""
    errors: list[DataError] = []
    token = _collection.set(errors)
    try:
        yield errors
    finally:
        _collection.reset(token)


def report(error: DataError) -> None:
    """Raise an error behind which there is a sensible way to go on: without the samples that it names.

    Raises:
        DataError: The error, unless errors are being collected.
    """
    errors = _collection.get()
    if errors is None:
        raise error
    errors.append(error)
