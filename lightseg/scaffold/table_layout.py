"""Recognition of tables: the columns that hold paths of images, classes, splits and groups."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightseg.data.datasets.image_table import LABEL_COLUMNS, PATH_COLUMNS, SPLIT_COLUMN
from lightseg.data.io.tables import Table, read_table
from lightseg.data.io.text_file import read_text
from lightseg.data.splits import SPLIT_OF
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.scaffold.listing import Listing

_PROBED = 200
"""Rows whose paths are looked up."""

_BASES = 20
"""Folders of images that paths may be relative to."""

_GROUP_COLUMNS = ("patient", "patient_id", "subject", "subject_id", "case", "case_id", "group", "sequence", "video")
_SPLIT_COLUMNS = (SPLIT_COLUMN, "set", "subset", "partition", "fold", "phase")
_FEWEST_GROUPS = 6
"""Least number of groups that fill three splits."""


@dataclass(frozen=True)
class TableLayout:
    """Table of images and their classes.

    Attributes:
        options: Options of an `ImageTable`.
        split_column: Column of the splits; empty without one.
    """

    options: dict[str, Any]
    split_column: str


def find_table(listing: Listing, answers: Mapping[str, Any]) -> TableLayout | None:
    """Return the table that names images of a folder and their classes; None without one.

    Args:
        listing: Files below the folder.
        answers: Options of the data that the user states; `table` may be relative to the folder.

    Raises:
        DataError: If several tables may be it, or no column can be recognized as that of the classes.
    """
    if "table" in answers:
        path = Path(answers["table"])
        path = path if path.is_file() else listing.root / path
        if (layout := _read(listing, path, answers)) is None:
            raise DataError(f"{path}: no column holds paths of images below {listing.root}; add --data.root FOLDER")
        return layout
    layouts = {}
    for name in listing.tables:
        try:
            layout = _read(listing, listing.root / name, answers)
        except DataError:
            if len(listing.tables) == 1:
                raise
            continue
        if layout is not None:
            layouts[name] = layout
    if len(layouts) > 1:
        names = list(layouts)
        raise DataError(
            f"{listing.root}: {' and '.join(names)} each list images and classes; name one: --data.table {names[0]}"
        )
    return next(iter(layouts.values()), None)


def _read(listing: Listing, path: Path, answers: Mapping[str, Any]) -> TableLayout | None:
    """Return the layout of a table; None if no column holds paths of images.

    Raises:
        DataError: If it cannot be read, or the column of the classes is not known.
    """
    delimiter = answers.get("delimiter") or _find_delimiter(path)
    table = read_table(path, delimiter)
    place = _find_paths(listing, table, answers)
    if place is None:
        return None
    path_column, root = place
    label_column = _find_labels(table, path_column, answers)
    split_column = _find_splits(table, answers)
    options: dict[str, Any] = {"table": str(path)}
    if root != path.parent:
        options["root"] = str(root)
    if [column for column in table.columns if column.lower() in PATH_COLUMNS] != [path_column]:
        options["path_column"] = path_column
    if [column for column in table.columns if column.lower() in LABEL_COLUMNS] != [label_column]:
        options["label_column"] = label_column
    if split_column and split_column != SPLIT_COLUMN:
        options["split_column"] = split_column
    if not split_column and (group_column := _find_groups(table)):
        options["group_column"] = group_column
    if delimiter not in (None, ","):
        options["delimiter"] = delimiter
    return TableLayout(options, split_column)


def _find_delimiter(path: Path) -> str | None:
    """Return the character that separates the names of the columns; None for the default."""
    if path.suffix.lower() != ".csv":
        return None
    header = read_text(path).partition("\n")[0]
    return max(",;\t", key=header.count) if {",", ";", "\t"} & set(header) else None


def _find_paths(listing: Listing, table: Table, answers: Mapping[str, Any]) -> tuple[str, Path] | None:
    """Return the column whose values are files of one folder most often, and the folder; None without one."""
    folders = sorted(listing.images, key=lambda folder: len(listing.images[folder]), reverse=True)[:_BASES]
    bases = dict.fromkeys([table.path.parent, listing.root, *(listing.root / folder for folder in folders)])
    if "root" in answers:
        bases = {Path(answers["root"]): None}
    columns = [answers["path_column"]] if "path_column" in answers else list(table.columns)
    rows = spread(_PROBED, len(table))
    best, place = len(rows) / 2, None
    for column in columns:
        values = table.columns[table.find_column("path_column", column, ())]
        for base in bases:
            # an absolute path replaces the base
            files = sum(os.path.isfile(os.path.join(base, values[row])) for row in rows)  # noqa: PTH113, PTH118
            if files > best:
                best, place = files, (column, base)
    return place


def _find_labels(table: Table, path_column: str, answers: Mapping[str, Any]) -> str:
    """Return the column of the classes.

    Raises:
        DataError: If it is not known.
    """
    rest = [column for column in table.columns if column != path_column]
    common = [column for column in rest if column.lower() in LABEL_COLUMNS]
    if "label_column" not in answers and not common and len(rest) == 1:
        return rest[0]
    return table.find_column("label_column", answers.get("label_column"), LABEL_COLUMNS)


def _find_splits(table: Table, answers: Mapping[str, Any]) -> str:
    """Return the column whose values are all splits; empty without one."""
    columns = {column.lower(): column for column in table.columns}
    candidates = [columns[name] for name in _SPLIT_COLUMNS if name in columns]
    are_splits = (column for column in candidates if all(value.lower() in SPLIT_OF for value in table.columns[column]))
    return str(answers.get("split_column") or next(are_splits, ""))


def _find_groups(table: Table) -> str:
    """Return the column of groups of several images each; empty without one."""
    for column, values in table.columns.items():
        number = len(set(values))
        if column.lower() in _GROUP_COLUMNS and "" not in values and _FEWEST_GROUPS <= number < len(values):
            return column
    return ""
