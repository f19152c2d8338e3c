"""Tables of numbers with named rows; the macro `number_table` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lightseg.comparison.text import percent


class Row(NamedTuple):
    """Row of a table of numbers.

    Attributes:
        name: Head of the row, as text.
        cells: Formatted numbers.
        remark: Small text below the name; empty for none.
    """

    name: str
    cells: Sequence[str]
    remark: str = ""


class NumberTable(NamedTuple):
    """Table of numbers.

    Attributes:
        label: Description for screen readers.
        columns: Titles, that of the row names first.
        rows: Rows in order.
        title: Heading above the table; empty for none.
    """

    label: str
    columns: Sequence[str]
    rows: Sequence[Row]
    title: str = ""


def format_share(part: int, total: int) -> str:
    """Format a part of a total in percent; `–` where the total is 0."""
    return f"{percent(part / total)} %" if total else "–"
