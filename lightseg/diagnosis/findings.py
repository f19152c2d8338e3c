"""Findings of a diagnosis: each a kind of problem with its files and its fix."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lightseg.files.printable import join_names

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Errors stop a training or corrupt what it learns, warnings bias its score, notes are remarks."""


@dataclass(frozen=True)
class Finding:
    """Problem of a data set.

    Attributes:
        check: Name of the check, such as `shifted`.
        severity: Its severity.
        what: Description of the problem.
        mend: The fix: a line of config, or what to do.
        files: All files with the problem, as the data set names them.
    """

    check: str
    severity: Severity
    what: str
    mend: str
    files: Sequence[str] = field(default=())


def from_message(check: str, severity: Severity, message: str, files: Sequence[str] = ()) -> Finding:
    """Return a finding from an error's message, whose fix follows the first semicolon."""
    what, _, mend = message.partition("; ")
    return Finding(check, severity, what, mend or "repair the file, or remove it and its counterpart", files)


def list_classes(objects: Counter[str]) -> str:
    """Return the number of objects of each class, the most frequent ones first: `car (3), boat (1)`."""
    return join_names([f"{name} ({number:,})" for name, number in objects.most_common()])
