"""Recognition of tables: the columns that hold paths of images, classes, splits and groups."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightseg.data.datasets.image_table import LABEL_COLUMNS, LABELS, PATH_COLUMNS, SPLIT_COLUMN
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
        reasons: Comments on them.
        split_column: Column of the splits; empty without one.
    """

    options: dict[str, Any]
    reasons: dict[str, str]
    split_column: str


class _PairTableError(DataError):
    """Table of images and their masks."""


def find_table(listing: Listing, answers: Mapping[str, Any]) -> TableLayout | None:
    """Return the table that names images of a folder and their classes; None without one.

    Args:
        listing: Files below the folder.
        answers: Options of the data that the user states; `table` may be relative to the folder.

    Raises:
        DataError: If several tables may be it, one lists images and masks, or no column can be recognized as that of
            the classes.
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
        except DataError as error:
            if len(listing.tables) == 1 or isinstance(error, _PairTableError):
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
    bases = _find_bases(listing, path, answers)
    place = _find_paths(table, [answers["path_column"]] if "path_column" in answers else list(table.columns), bases)
    if place is None:
        return None
    path_column, root = place
    if not {"label_column", "label_columns"} & answers.keys():
        _require_labels(table, path_column, bases)
    split_column = _find_splits(table, answers)
    group_column = "" if split_column else _find_groups(table)
    other_columns = [column for column in table.columns if column not in (path_column, split_column, group_column)]
    label_options, reasons = _find_labels(table, other_columns, answers)
    options: dict[str, Any] = {"table": str(path)}
    if root != path.parent:
        options["root"] = str(root)
    if [column for column in table.columns if column.lower() in PATH_COLUMNS] != [path_column]:
        options["path_column"] = path_column
    options |= label_options
    if split_column and split_column != SPLIT_COLUMN:
        options["split_column"] = split_column
    if group_column:
        options["group_column"] = group_column
    if delimiter not in (None, ","):
        options["delimiter"] = delimiter
    return TableLayout(options, reasons, split_column)


def _find_delimiter(path: Path) -> str | None:
    """Return the character that separates the names of the columns; None for the default."""
    if path.suffix.lower() != ".csv":
        return None
    header = read_text(path).partition("\n")[0]
    return max(",;\t", key=header.count) if {",", ";", "\t"} & set(header) else None


def _find_bases(listing: Listing, path: Path, answers: Mapping[str, Any]) -> list[Path]:
    """Return the folders that the paths in a table may be relative to, the likeliest ones first."""
    if "root" in answers:
        return [Path(answers["root"])]
    folders = sorted(listing.images, key=lambda folder: len(listing.images[folder]), reverse=True)[:_BASES]
    return list(dict.fromkeys([path.parent, listing.root, *(listing.root / folder for folder in folders)]))


def _find_paths(table: Table, columns: Sequence[str], bases: Sequence[Path]) -> tuple[str, Path] | None:
    """Return the column whose values are files of one folder most often, and the folder; None without one."""
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


def _require_labels(table: Table, path_column: str, bases: Sequence[Path]) -> None:
    """Check that a table lists classes, not masks.

    Raises:
        _PairTableError: If a column in the place of the classes holds paths.
    """
    columns = [column for column in table.columns if column != path_column]
    common = [column for column in columns if column.lower() in LABEL_COLUMNS]
    if masks := _find_paths(table, common or columns, bases):
        raise _PairTableError(
            f"{table.path}: names images ({path_column}) and masks ({masks[0]}); write these two columns alone into a "
            "list for each split, train.csv and val.csv, with paths below its folder, and call init again"
        )


def _find_labels(
    table: Table, columns: Sequence[str], answers: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the options that name the column of the classes, or a column for each class, and their reasons.

    Raises:
        DataError: If the columns are not known.
    """
    if "label_columns" in answers:
        return {}, {}
    common = [column for column in table.columns if column.lower() in LABEL_COLUMNS]
    if "label_column" not in answers and len(common) == 1:
        return {}, {}
    if not common and "label_column" not in answers:
        label_columns = [column for column in columns if _holds_labels(table.columns[column])]
        if len(label_columns) > 1:
            return {"label_columns": label_columns}, {"label_columns": _describe_labels(table, label_columns)}
        if len(columns) == 1:
            return {"label_column": columns[0]}, {}
    return {"label_column": table.find_column("label_column", answers.get("label_column"), LABEL_COLUMNS)}, {}


def _holds_labels(values: Sequence[str]) -> bool:
    """Return whether the values of a column are 1, 0 or unknown, and some 1."""
    labels = {LABELS.get(value.lower()) for value in values}
    return None not in labels and 1 in labels


def _describe_labels(table: Table, columns: Sequence[str]) -> str:
    """Return how many classes rows have, as the reason for a column for each class."""
    numbers = [
        sum(LABELS[value.lower()] == 1 for value in row)
        for row in zip(*(table.columns[column] for column in columns), strict=True)
    ]
    if set(numbers) == {1}:
        return "a column for each class; each row has exactly one class, so that one label_column would do, too"
    several = sum(number > 1 for number in numbers) / len(numbers)
    return f"a column for each class, since a picture may have several: {several:.0%} of the rows do"


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
