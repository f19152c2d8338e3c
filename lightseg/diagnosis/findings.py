"""Findings of a diagnosis: one for each kind of trouble, with its files and its fix."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From what a training would stop at or learn rubbish from, over what makes its score worth less, to remarks."""


@dataclass(frozen=True)
class Finding:
    """Kind of trouble, with its files and its fix.

    Attributes:
        check: Its name, the same for every data set, such as `shifted`.
        severity: How bad it is.
        what: What is the matter.
        mend: The line of config, or what to do, that mends it.
        files: All files that it is about, as the data set names them.
    """

    check: str
    severity: Severity
    what: str
    mend: str
    files: Sequence[str] = field(default=())


def from_message(check: str, severity: Severity, message: str, files: Sequence[str] = ()) -> Finding:
    """Return the finding of an error's message: what is wrong, then, behind the first semicolon, the fix."""
    what, _, mend = message.partition("; ")
    return Finding(check, severity, what, mend or "repair the file, or remove it and its counterpart", files)


def counted(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
