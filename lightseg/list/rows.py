"""Rows of a list: selection by name, and text."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from lightseg.errors import UserError, did_you_mean
from lightseg.files.printable import align_columns, printable_line


def matching(rows: Sequence[dict[str, Any]], pattern: str, kind: str) -> list[dict[str, Any]]:
    """Return the rows whose name contains a text, or matches a pattern of a shell.

    Args:
        rows: Objects with a `name`.
        pattern: A part of the name, or a pattern with `*`, `?` or `[…]`; empty for all. Case does not matter.
        kind: What is listed, for the message.

    Raises:
        UserError: If none does.
    """
    is_pattern = any(character in pattern for character in "*?[")
    glob = pattern.lower() if is_pattern else f"*{pattern.lower()}*"
    selected = [row for row in rows if fnmatch(row["name"].lower(), glob)]
    if not selected:
        names = [row["name"] for row in rows]
        wider = f"*{pattern}*".replace("**", "*")
        is_part = is_pattern and any(fnmatch(name.lower(), wider.lower()) for name in names)
        near = f"; did you mean '{printable_line(wider)}'?" if is_part else did_you_mean(pattern, names)
        raise UserError(f"{kind}: no name matches '{printable_line(pattern)[:80]}'{near}")
    return selected


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as aligned columns; what does not hold for any row has no column."""
    columns = [key for key in rows[0] if any(_text(row[key]) for row in rows)]
    return "\n".join(align_columns([columns, *([_text(row[key]) for key in columns] for row in rows)]))


def _text(value: Any) -> str:
    """Return a value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
