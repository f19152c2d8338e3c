"""Tables of numbers; the macro `number_table` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """Row of a table of numbers: its name, formatted numbers, and small text below the name."""

    name: str
    cells: Sequence[str]
    remark: str = ""


class NumberTable(NamedTuple):
    """Table of numbers: a description for screen readers, titles of all columns, rows, and a heading."""

    label: str
    columns: Sequence[str]
    rows: Sequence[Row]
    title: str = ""
