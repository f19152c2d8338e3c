"""Collection of data errors: the first error is raised, unless a diagnosis collects all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from lightseg.errors import DataError

_collection: ContextVar[list[DataError] | None] = ContextVar("collection", default=None)


class LayoutError(DataError):
    """Mistake in the names or the places of files.

    Args:
        kind: Name of the mistake, such as `image without mask`, by which a diagnosis groups errors.
        message: The message.
        files: All such files, as paths relative to the root.
    """

    def __init__(self, kind: str, message: str, files: Sequence[str]) -> None:
        super().__init__(message)
        self.kind, self.files = kind, list(files)


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
