"""Data module of a table of images: a path and a class, or labels, in each row."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lightseg.data.datasets.label_data_module import LabelDataModule
from lightseg.data.datasets.label_dataset import LabeledImage
from lightseg.data.datasets.unread_files import unused_images
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.image_files import file_identity, is_writable
from lightseg.data.io.tables import Table, read_table
from lightseg.data.splits import SPLIT_OF, Splits, relative_to
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError, did_you_mean, require
from lightseg.files.atomic import expand_home
from lightseg.labels import IGNORE

PATH_COLUMNS = (
    *("path", "file", "image", "filename", "file_name", "filepath", "file_path", "image_path", "image_file"),
    *("image_name", "img", "img_path", "img_name"),
)
LABELS = dict.fromkeys(("1", "1.0", "true", "yes"), 1) | dict.fromkeys(("0", "0.0", "false", "no"), 0) | {"": IGNORE}
"""Meaning of a value in a column of labels, in lower case; an empty one is unknown."""
LABEL_COLUMNS = ("label", "class", "category", "target", "class_name", "label_name", "category_name")
SPLIT_COLUMN = "split"


class ImageTable(LabelDataModule):
    """Images and classes as rows of a CSV, TSV or Parquet file, without code.

    Fractions apply to each class by itself, unless groups are defined; of overlapping classes, to the images of which
    it is the rarest. Parquet needs `pip install 'lightseg[parquet]'`.

    Args:
        table: The file; its first line names the columns.
        root: Folder that the paths of the images are relative to; by default that of the table. Absolute paths, and
            those that start with `~`, stay as they are.
        classes: Class names in the order of their ids; another label is an error. By default, the labels that occur,
            sorted, or by value if all are whole numbers.
        path_column: Column of the images' paths; by default one that is called `path`, `file`, `image` or the like.
        label_column: Column of the classes; by default one that is called `label`, `class`, `category` or the like.
        label_columns: Columns of classes that may overlap, whose names are those of the classes: 1 or 0, or nothing
            where it is unknown. They take the place of `classes` and `label_column`.
        split_column: Column of the splits, `train`, `val` or `test`; by default `split`, if there is one and no list
            files define the splits. Without `val`, that is a fraction of `train`; without `test`, that split is empty.
        group_column: Column of the groups, such as patients, whose images stay in one split.
        delimiter: Character between the columns; by default a tab for `.tsv` and a comma for other text.
        **kwargs: Options of `FileDataModule`: reading of images, splits and groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    def __init__(
        self,
        table: str,
        root: str | None = None,
        classes: list[str] | None = None,
        path_column: str | None = None,
        label_column: str | None = None,
        label_columns: list[str] | None = None,
        split_column: str | None = None,
        group_column: str | None = None,
        delimiter: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._path = Path(expand_home(table))
        self.multilabel = label_columns is not None
        require(
            label_columns is None or (classes is None and label_column is None),
            "data.label_columns: name the classes and their columns; leave data.classes and data.label_column out",
        )
        require(label_columns != [], "data.label_columns: name one or more columns, or leave them out")
        classes = label_columns if label_columns is not None else classes
        super().__init__(classes=classes, root=str(self._path.parent) if root is None else root, **kwargs)
        require(
            self._lists is None or split_column is None,
            "data.split_column, data.splits: both define the splits; leave one out",
        )
        require(
            self._group is None or group_column is None,
            "data.group_column, data.group: both define the groups; leave one out",
        )
        # a shell passes the two characters of an escaped tab
        delimiter = "\t" if delimiter == "\\t" else delimiter
        require(
            delimiter is None or (len(delimiter) == 1 and delimiter not in '\r\n" '),
            f"data.delimiter: must be one character that separates columns, got {delimiter!r}",
        )
        self._path_column, self._label_column = path_column, label_column
        self._split_column, self._group_column, self._delimiter = split_column, group_column, delimiter

    @cached_property
    def _table(self) -> Table:
        return read_table(self._path, self._delimiter)

    @cached_property
    def _paths(self) -> list[str]:
        """Return the path of the image of each row, relative to the root if below it."""
        root = Path(self.root)
        column = self._table.find_column("path_column", self._path_column, PATH_COLUMNS)
        paths = (relative_to(root, expand_home(path)) for path in self._table.columns[column])
        return [path if path.isascii() else _stored_form(root, path) for path in paths]

    @cached_property
    def _labels(self) -> list[str]:
        """Return the class of each row; of classes that may overlap, the values of all of them."""
        if self.multilabel:
            columns = [self._table.find_column("label_columns", name, ()) for name in self.classes]
            return [",".join(values) for values in zip(*(self._table.columns[name] for name in columns), strict=True)]
        column = self._table.find_column("label_column", self._label_column, LABEL_COLUMNS)
        return self._table.columns[column]

    def _find_classes(self) -> Iterable[str]:
        return filter(None, self._labels)

    @property
    def has_groups(self) -> bool:
        """Return whether an option defines groups of samples that stay in one split."""
        return self._group_column is not None or super().has_groups

    def groups(self, names: Sequence[str]) -> Sequence[str]:
        """Return the group of each image, by `group_column` or `group`; without these, every sample is a group."""
        if self._group_column is None:
            return super().groups(names)
        return [self._group_of[name] for name in names]

    @cached_property
    def _group_of(self) -> dict[str, str]:
        """Return the group of each path.

        Raises:
            DataError: If there is no such column, or a row has no group.
        """
        groups = self._table.columns[self._table.find_column("group_column", self._group_column, ())]
        if "" in groups:
            raise DataError(f"{self._table.place(groups.index(''))} has no {self._group_column}; fill it in")
        return dict(zip(self._paths, groups, strict=True))

    def unlisted_images(self) -> Sequence[str]:
        """Return the images beside those of the table that it does not name; call it after `make_dataset`."""
        return unused_images(self._file_datasets.values())

    def _find_splits(self) -> Splits[LabeledImage]:
        splits = self._row_splits()
        result: Splits[LabeledImage] = {split: [] for split in SPLITS}
        samples: list[LabeledImage] = []
        for row, sample in self._samples():
            (samples if splits is None else result[splits[row]]).append(sample)
        if splits is None:
            return self._split_without_folders(samples)
        result = {split: sorted(part, key=lambda sample: sample.name) for split, part in result.items()}
        return self._complete(result, self._strata(result["train"]))

    def _row_splits(self) -> list[Split] | None:
        """Return the split of each row; None if no column defines splits.

        Raises:
            DataError: If there is no such column, or a value is no split.
        """
        name = self._split_column
        if name is None:
            if self._lists is not None or SPLIT_COLUMN not in self._table.columns:
                return None
            name = SPLIT_COLUMN
        values = self._table.columns[self._table.find_column("split_column", name, ())]
        splits = []
        for row, value in enumerate(values):
            split = SPLIT_OF.get(value.lower())
            if split is None:
                raise DataError(
                    f"{self._table.place(row)}: {value!r} in column {name} is no split; write train, val or test"
                )
            splits.append(split)
        return splits

    def _samples(self) -> Iterator[tuple[int, LabeledImage]]:
        """Yield each row with its sample; report those that cannot be used."""
        ids = {name: label for label, name in enumerate(self.classes)}
        first_row: dict[tuple[int, int] | str, int] = {}
        for row, (path, name) in enumerate(zip(self._paths, self._labels, strict=True)):
            # a file may have several names
            file = file_identity(os.path.join(self.root, path))  # noqa: PTH118 - five times as fast as `Path`
            first = first_row.setdefault(file or path, row)
            if first != row:
                self._report_duplicate(first, row)
            elif not self.multilabel and name not in ids:
                report(self._undeclared_class(row))
            elif self.multilabel and (error := self._unknown_label(row)):
                report(error)
            elif not is_writable(path):
                report(LayoutError("name", f"{self._table.place(row)}: {path!a} holds a control character", [path]))
            elif file is None:
                report(self._missing_file(row))
            else:
                yield row, LabeledImage(path, self._label_values(row) if self.multilabel else ids[name])

    def _label_values(self, row: int) -> tuple[int, ...]:
        """Return the labels of a row whose values are known."""
        return tuple(LABELS[self._table.columns[name][row].lower()] for name in self.classes)

    def _unknown_label(self, row: int) -> LayoutError | None:
        """Return the error of a row with a value that is no label, or without any label."""
        path, place = self._paths[row], self._table.place(row)
        values = {name: self._table.columns[name][row] for name in self.classes}
        for name, value in values.items():
            if value.lower() not in LABELS:
                message = f"{place}: {value!r} in column {name} is no label; write 1, 0, or nothing where it is unknown"
                return LayoutError("unknown label", message, [path])
        if not any(values.values()):
            return LayoutError("unknown label", f"{place}: {path} has no label; fill one in, or remove the row", [path])
        return None

    def _undeclared_class(self, row: int) -> LayoutError:
        path, name = self._paths[row], self._labels[row]
        reason = f"{path} has no label; fill it in"
        if name:
            hint = did_you_mean(name, self.classes) or "; add it there, or remove the row"
            reason = f"{path} has the label {name}, which is not in data.classes{hint}"
        return LayoutError("undeclared class", f"{self._table.place(row)}: {reason}", [path])

    def _report_duplicate(self, first: int, row: int) -> None:
        path, line = self._paths[row], self._table.lines[first]
        name = "" if path == self._paths[first] else f", as {self._paths[first]}"
        message = f"{self._table.place(row)}: {path} is on line {line} already{name}; remove one of them"
        if self._labels[first] != self._labels[row]:
            message = (
                f"{self._table.place(row)}: {path} is {self._labels[row]}, but {self._labels[first]} on line {line}; "
                "keep the right one"
            )
        report(LayoutError("duplicate row", message, [path]))

    def _missing_file(self, row: int) -> LayoutError:
        path, place = self._paths[row], self._table.place(row)
        if path == ".":
            return LayoutError("missing file", f"{place} has no path of an image; fill it in", [])
        message = f"{place}: {path} is no file in {self.root}; correct the path, or set data.root"
        return LayoutError("missing file", message, [path])


def _stored_form(root: Path, path: str) -> str:
    """Return a path in the normal form of Unicode in which its file is stored; unchanged if there is no such file."""
    forms = (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))
    return next((form for form in forms if (root / form).is_file()), path)
