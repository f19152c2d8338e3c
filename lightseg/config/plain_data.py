"""Plain data of foreign files, limited in size and depth."""

from pathlib import Path
from typing import Any

from lightseg.errors import UserError
from lightseg.files.printable import printable

_DEPTH, _VALUES = 64, 1_000_000
"""Limits of a file: levels of lists and mappings, and number of values."""

_WHOLE = 2**64
"""Limit of integers; a smaller one can be converted to a float."""


def plain(content: Any, file: Path | str) -> Any:
    """Return a copy of plain data with printable texts.

    Args:
        content: The parsed file.
        file: The file, for the message.

    Raises:
        UserError: If it holds anything but mappings, lists, texts, numbers, booleans and null, or too many of them.
    """
    return _Copy(file).of(content, 0)


class _Copy:
    def __init__(self, file: Path | str) -> None:
        self.file, self.count = file, 0

    def of(self, value: Any, depth: int) -> Any:
        self.count += 1
        if depth > _DEPTH or self.count > _VALUES:
            raise UserError(f"{self.file}: holds more than {_VALUES} values or {_DEPTH} levels; the file is damaged")
        if isinstance(value, dict):
            return {self._key(name): self.of(item, depth + 1) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, str):
            return printable(value)
        if isinstance(value, int) and abs(value) >= _WHOLE:
            raise UserError(f"{self.file}: holds a number of {value.bit_length()} bits; the file is damaged")
        if isinstance(value, int | float | None):
            return value
        raise UserError(f"{self.file}: holds a {type(value).__name__}, which is no plain data; the file is damaged")

    def _key(self, name: Any) -> Any:
        return self.of(name, 0) if isinstance(name, str | int | float | None) else self.of(None, _DEPTH + 1)
