"""YOLO with outlines: a YAML file that names classes and folders of images, and a text file for each image.

Each line of a text file is the number of a class and an outline, whose coordinates are fractions of width and height;
as they are rounded, usually to 6 digits, a center within a thousandth of a pixel of an outline may change sides. The
text file of `images/train/1.jpg` is `labels/train/1.txt`; an image without one has no object. Later lines lie above.
Source: documentation of Ultralytics, datasets of segmentation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from lightseg.data.annotations.documents import read_yaml
from lightseg.data.annotations.format import AnnotationFormat, Annotations, FormatName
from lightseg.data.annotations.images import AnnotatedImage, ImageIndex, require_unique
from lightseg.data.annotations.objects import ImageRecord, ObjectRecord, Polygons, Shape, Size, to_numbers, to_ring
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.text_file import read_text
from lightseg.data.splits import SPLIT_NAMES, relative_to, without_extension
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError

_MARGIN = 0.01
"""Fraction of a side by which an outline may leave its image; more is no rounding."""


@dataclass(frozen=True)
class YoloFormat(AnnotationFormat):
    """Lines of class number and outline.

    Args:
        classes: Names of the classes by number.
    """

    name: ClassVar[FormatName] = "yolo"
    classes: dict[int, str]

    def parse(self, content: bytes, place: str) -> ImageRecord:
        """Return the annotation of an image; see `AnnotationFormat`."""
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise DataError(f"{place}: is no UTF-8; save it again") from None
        objects = [
            self._parse_line(words, f"{place}: line {number}")
            for number, line in enumerate(lines, 1)
            if (words := line.split())
        ]
        return ImageRecord(None, [], objects)

    def _parse_line(self, words: Sequence[str], place: str) -> ObjectRecord:
        name = self.classes.get(int(words[0])) if words[0].isdecimal() and len(words[0]) < 9 else None
        if name is None:
            raise DataError(
                f"{place}: begins with {words[0][:20]}, which is the number of no class; "
                f"names of the YAML file has {min(self.classes)} to {max(self.classes)}"
            )
        return ObjectRecord(f"{place} ({name})", name, words[1:])

    def shape(self, record: ObjectRecord, size: Size) -> Shape:
        """Return the outline of an object; see `AnnotationFormat`."""
        if len(record.outline) == 4:
            raise DataError(f"{record.place}: is a box of 4 numbers, not an outline; draw one, or remove the line")
        fractions = to_numbers(record.outline, record.place)
        if fractions.size and not -_MARGIN <= fractions.min() <= fractions.max() <= 1 + _MARGIN:
            raise DataError(
                f"{record.place}: holds {fractions[np.argmax(np.abs(fractions - 0.5))]:g}, and coordinates are "
                "fractions of width and height, 0 to 1; divide those in pixels"
            )
        pixels = fractions.copy()
        pixels[0::2] *= size[1]
        pixels[1::2] *= size[0]
        return Polygons([to_ring(pixels, size, record.place)])


def is_yolo(content: Any) -> bool:
    """Return whether parsed YAML is a data set of YOLO."""
    return isinstance(content, dict) and "names" in content and "train" in content


def read_yolo(path: Path, index: ImageIndex) -> Annotations:
    """Read a data set of YOLO.

    Args:
        path: Its YAML file.
        index: The images of the data.

    Raises:
        DataError: If it is no such file, or names folders that do not exist.
    """
    content = read_yaml(path)
    if not is_yolo(content):
        raise DataError(f"{path}: has no names and train, as the data set of a YOLO has; correct it")
    if "kpt_shape" in content:
        # a box with its points would pass as an outline
        raise DataError(f"{path}: is of key points (kpt_shape), which have no outline; export outlines (segmentation)")
    classes = _read_names(path, content)
    images = []
    for split in SPLITS:
        key = next((name for name in SPLIT_NAMES[split] if content.get(name)), None)
        if key is not None:
            images += [_find_labels(index.root, name, split) for name in _list_split(path, content, key, index)]
    _require_images(index, images)
    return Annotations(
        path, YoloFormat(classes), [classes[number] for number in sorted(classes)], require_unique(images)
    )


def _read_names(path: Path, content: dict[str, Any]) -> dict[int, str]:
    names = content["names"]
    entries = dict(enumerate(names)) if isinstance(names, list) else names
    if not (isinstance(entries, dict) and entries and all(isinstance(number, int) for number in entries)):
        raise DataError(f"{path}: its names are no list of classes; write names: [cat, dog]")
    # YAML reads names such as yes and 1 as other types
    wrong = next((name for name in entries.values() if not isinstance(name, str)), None)
    if wrong is not None:
        raise DataError(f"{path}: its names hold {wrong!r:.60}, which is no text; put it into quotation marks")
    return entries


def _list_split(path: Path, content: dict[str, Any], key: str, index: ImageIndex) -> Iterator[str]:
    """Yield the images of a split: those in its folders, and those that its lists name.

    Raises:
        DataError: If a folder or list does not exist, or lies outside of the root.
    """
    values = content[key] if isinstance(content[key], list) else [content[key]]
    for value in values:
        if not isinstance(value, str):
            raise DataError(f"{path}: its {key} is {type(value).__name__}, and a folder or a list file is expected")
        place = _locate(path, content, value)
        relative = None if place is None else relative_to(index.root, str(place.absolute()))
        if place is None or relative is None:
            raise DataError(f"{path}: {key}: there is no {value} beside it; correct its path")
        if relative.startswith(("/", "../")):
            raise DataError(f"{path}: {key}: {value} leads out of {index.root}; set data.root to a folder above")
        if place.is_dir():
            prefix = "" if relative == "." else f"{relative}/"
            yield from (image for image in index.images if image.startswith(prefix))
        else:
            near = relative.rpartition("/")[0] or "."
            for number, line in enumerate(read_text(place).splitlines(), 1):
                if name := line.strip():
                    image = index.find(name, f"{place}: line {number}", near)
                    if image is not None:
                        yield image


def _locate(path: Path, content: dict[str, Any], value: str) -> Path | None:
    """Return the folder or list file that a YAML file means.

    Its `path` often is that of another machine, and paths such as `../train/images` start one folder too high.
    """
    bases = [path.parent]
    if isinstance(content.get("path"), str):
        bases.insert(0, path.parent / content["path"])
    names = [value, value.removeprefix("../")]
    return next((base / name for base in bases for name in names if (base / name).exists()), None)


def _find_labels(root: Path, image: str, split: Split) -> AnnotatedImage:
    """Return an image with its text file."""
    file = _label_file(image)
    # a link that leads nowhere, or anything else in its place, is no missing file, and fails when it is read
    exists = (root / file).exists() or (root / file).is_symlink()
    return AnnotatedImage(image, str(root / file), file if exists else "", split=split, is_annotated=exists)


def _label_file(image: str) -> str:
    """Return the path of an image's text file: in `labels` instead of the last `images`, or beside the image."""
    parts = list(PurePosixPath(image).parts)
    if "images" in parts[:-1]:
        position = len(parts) - 2 - parts[-2::-1].index("images")
        parts[position] = "labels"
    return f"{without_extension('/'.join(parts))}.txt"


def _require_images(index: ImageIndex, images: Sequence[AnnotatedImage]) -> None:
    """Report text files without an image, in the folders of those that have one."""
    files = {image.file for image in images if image.file}
    stems = {_label_file(image) for image in index.images}
    for folder in sorted({file.rpartition("/")[0] for file in files}):
        if "labels" in PurePosixPath(folder).parts:
            names = {f"{folder}/{path.name}" for path in (index.root / folder).glob("*.txt")}
            if unpaired := sorted(names - stems - {f"{folder}/classes.txt"}):
                more = f" ({len(unpaired) - 1} more like it)" if len(unpaired) > 1 else ""
                message = f"{index.root / unpaired[0]}: has no image{more}; add it, or remove the file"
                report(LayoutError("annotation without image", message, unpaired))
