"""Files with the names of the classes, and perhaps their ids or colors, beside the data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightseg.data.io.label_options import MAX_CLASSES
from lightseg.data.io.text_file import read_text
from lightseg.errors import DataError
from lightseg.labels import Color

_STEMS = frozenset(
    (
        *("class", "classes", "classnames", "classdict", "classlabels", "names"),
        *("label", "labels", "labelnames", "labelcolors", "labelcolours", "labelmap", "colormap"),
    )
)
"""Names of such files, in lower case and without separators."""

_LARGEST = 100_000


@dataclass(frozen=True)
class ClassNames:
    """Names of classes, as a file lists them.

    Attributes:
        file: The file.
        names: The names, in the order of the file.
        ids: Mask value of each name; empty if the file has none.
        colors: RGB color of each name; empty if the file has none.
    """

    file: Path
    names: list[str]
    ids: list[int]
    colors: list[Color]


def find_class_names(root: Path, texts: Sequence[str]) -> ClassNames | None:
    """Return the names in the file beside the data that lists them; None without one.

    Args:
        root: Folder of the data.
        texts: Text files below it, as relative paths.
    """
    for text in texts:
        stem, path = re.sub(r"[\W_]", "", Path(text).stem.lower()), root / text
        if stem in _STEMS and path.stat().st_size <= _LARGEST:
            try:
                names = parse_class_names(path)
            except DataError:
                continue
            if names:
                return names
    return None


def parse_class_names(path: Path) -> ClassNames | None:
    """Return the names in a file; None if its lines have no common form.

    A line is a name, a name and three numbers (its color), or a name and one number (its id), in any order and
    separated by spaces, tabs, commas, semicolons or colons. Lines that start with `#` are comments.

    Raises:
        DataError: If the file cannot be read.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    rows = [_split(line) for line in lines if line and not line.startswith("#")]
    if len(rows) > 1 and not rows[0][1] and rows[1][1]:
        # the names of the columns
        del rows[0]
    names = [name for name, _ in rows]
    lengths = {len(numbers) for _, numbers in rows}
    if not 2 <= len(set(names)) == len(names) <= MAX_CLASSES or not all(names) or len(lengths) != 1:
        return None
    numbers = [row for _, row in rows]
    match lengths.pop():
        case 0:
            return ClassNames(path, names, [], [])
        case 1:
            return ClassNames(path, names, [row[0] for row in numbers], [])
        case 3 if all(number <= 255 for row in numbers for number in row):
            return ClassNames(path, names, [], [(row[0], row[1], row[2]) for row in numbers])
    return None


def _split(line: str) -> tuple[str, list[int]]:
    """Return the name in a line, and its numbers."""
    words = re.split(r"[\s,;:]+", line)
    numbers = [int(word) for word in words if re.fullmatch(r"[0-9]{1,5}", word)]
    name = " ".join(word for word in words if not re.fullmatch(r"[0-9]{1,5}", word)).strip()
    return name, numbers
