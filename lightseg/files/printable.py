"""Text for people: escaped control characters, aligned columns, lists of names, counts, durations and warnings."""

import re
import sys
from collections.abc import Sequence

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""Control characters, marks of text direction, and surrogates.

Line feed and tab are kept, as are the joiners of Persian text and emoji.
"""


def printable(text: str) -> str:
    r"""Return a text with escaped control characters (`\x1b`), so that a terminal does not interpret them."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def printable_line(text: str) -> str:
    """Return a text with escaped control characters on one line."""
    return " ".join(printable(text).split())


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of equally many cells as lines, whose columns are aligned at the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def join_names(names: Sequence[str], limit: int = 8) -> str:
    """Return names as a list of limited length: `a, b, c and 4 more`."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun: `1 image`, `2,000 images`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def format_duration(seconds: float) -> str:
    """Return a duration as text: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def warn(text: str) -> None:
    """Print `warning: TEXT` to stderr, with escaped control characters."""
    print(printable(f"warning: {text}"), file=sys.stderr, flush=True)
