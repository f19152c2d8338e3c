"""Reading of tables: CSV, TSV and Parquet, with errors that name the line."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightseg.data.io.text_file import LARGEST, read_text
from lightseg.errors import DataError, did_you_mean
from lightseg.files.limited import require_limited
from lightseg.files.printable import join_names

_DELIMITERS = {".tsv": "\t", ".tab": "\t"}
_OTHER_DELIMITERS = {";": 'semicolons; set data.delimiter: ";"', "\t": 'tabs; set data.delimiter: "\\t"'}
"""Delimiters other than the comma, with the end of a message about them."""


@dataclass(frozen=True)
class Table:
    """Content of a table.

    Attributes:
        path: The file.
        columns: Values of each column, as text without surrounding spaces; an empty text is no value.
        lines: Line of each row in the file; of a Parquet file, the number of the row, from 1 on.
    """

    path: Path
    columns: dict[str, list[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """Return the file and the line of a row, for messages."""
        unit = "row" if self.path.suffix.lower() == ".parquet" else "line"
        return f"{self.path}: {unit} {self.lines[row]}"

    def find_column(self, option: str, name: str | None, common_names: Sequence[str]) -> str:
        """Return the name of a column: the given one, or the only one with a common name.

        Args:
            option: Option that names the column, for messages.
            name: Value of the option.
            common_names: Names to look for by default, in lower case.

        Raises:
            DataError: If there is no such column, or several have a common name.
        """
        listed = join_names(list(self.columns))
        if name is not None:
            if name not in self.columns:
                hint = did_you_mean(name, self.columns) or f"; there are {listed}"
                raise DataError(f"{self.path}: there is no column {name}{hint} (data.{option})")
            return name
        matches = [column for column in self.columns if column.lower() in common_names]
        if len(matches) > 1:
            raise DataError(f"{self.path}: {' and '.join(matches)} may each be the column; set data.{option} to one")
        if not matches:
            raise DataError(
                f"{self.path}: no column is called {', '.join(common_names[:3])} or the like; "
                f"set data.{option} to one of {listed}"
            )
        return matches[0]


def read_table(path: Path, delimiter: str | None = None) -> Table:
    """Read a table whose first line names its columns.

    Args:
        path: The file: `.parquet`, `.tsv`, or else CSV.
        delimiter: Character between the columns; by default a tab for `.tsv` and a comma for all others.

    Raises:
        DataError: If it cannot be read, is empty, or a row has other columns than the first line.
        UserError: If it is larger than `LARGEST`.
    """
    if not path.is_file():
        raise DataError(f"{path}: this table does not exist; set data.table")
    table = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_text_table(path, delimiter)
    if not len(table):
        raise DataError(f"{path}: the table is empty; it needs a line with the names of columns, and a line per image")
    return table


def _read_text_table(path: Path, delimiter: str | None) -> Table:
    separator = delimiter or _DELIMITERS.get(path.suffix.lower(), ",")
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=separator, strict=True)
    lines, rows = list[int](), list[list[str]]()
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                lines.append(reader.line_num)
                rows.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} cannot be read as CSV ({error}); save it again") from None
    if not rows:
        return Table(path, {}, [])
    header, *rows = rows
    _require_header(path, header)
    for line, row in zip(lines[1:], rows, strict=True):
        if len(row) < len(header):
            raise DataError(f"{path}: line {line} has no {header[len(row)]}; fill it in, or remove the line")
        if len(row) > len(header):
            raise DataError(
                f"{path}: line {line} has {len(row)} columns, and the first line {len(header)}; "
                f'put values that hold "{separator}" into quotation marks'
            )
    columns = {name: [row[index] for row in rows] for index, name in enumerate(header)}
    return Table(path, columns, lines[1:])


def _require_header(path: Path, header: Sequence[str]) -> None:
    """Check the names of the columns.

    Raises:
        DataError: If one is missing or occurs twice, or another character separates them.
    """
    delimiter = next((text for character, text in _OTHER_DELIMITERS.items() if character in header[0]), None)
    if len(header) == 1 and delimiter:
        raise DataError(f"{path}: its columns are separated by {delimiter}")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise DataError(f"{path}: two columns are called {repeated[0] or 'nothing'}; give each a name of its own")


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"{path}: Parquet needs pyarrow; pip install 'lightseg[parquet]', or save the table as CSV"
        ) from None
    require_limited(path, LARGEST)
    try:
        content: dict[str, list[Any]] = pyarrow.parquet.read_table(path).to_pydict()
    # the errors of pyarrow derive from these
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: cannot be read as Parquet ({reason}); save it again") from None
    columns = {name: list(map(_as_text, values)) for name, values in content.items()}
    return Table(path, columns, range(1, 1 + len(next(iter(columns.values()), []))))


def _as_text(value: Any) -> str:
    # NaN is the missing value of floating-point columns
    return "" if value is None or value != value else str(value).strip()
