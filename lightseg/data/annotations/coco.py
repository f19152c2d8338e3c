"""COCO: one JSON file for many images, with polygons or run-length encodings.

The polygons of an annotation are its parts; a hole needs a run-length encoding, or an outline that leads to the hole
and back. Coordinates start at the upper left corner of the first pixel. Annotations have no order of depth; their order
in the file is taken for it. Source: Lin et al. 2014, and the data format on cocodataset.org.
"""

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lightseg.data.annotations.documents import get, read_json
from lightseg.data.annotations.format import AnnotationFormat, Annotations, FormatName
from lightseg.data.annotations.images import AnnotatedImage, ImageIndex, require_unique
from lightseg.data.annotations.objects import (
    Bitmap,
    ImageRecord,
    ObjectRecord,
    Polygons,
    Shape,
    Size,
    from_runs,
    require_size,
    to_ring,
)
from lightseg.data.splits import relative_to
from lightseg.errors import DataError

_Id = int | str

_GOES_ON, _MOST_CHARACTERS = 32, 8
"""Bit of a character that a number goes on behind, and characters of a number, in a compressed run-length encoding."""


@dataclass(frozen=True)
class CocoFormat(AnnotationFormat):
    """Annotations of COCO, of which each image has those that refer to it."""

    name: ClassVar[FormatName] = "coco"

    def parse(self, content: bytes, place: str) -> ImageRecord:
        """Return the annotation of an image; see `AnnotationFormat`."""
        size, objects = json.loads(content)
        records = [
            ObjectRecord(f"{place}: annotation {number} ({name})", name, outline, is_crowd)
            for number, name, outline, is_crowd in objects
        ]
        return ImageRecord((size[0], size[1]) if size else None, [], records)

    def shape(self, record: ObjectRecord, size: Size) -> Shape:
        """Return the outline of an object; see `AnnotationFormat`."""
        outline, place = record.outline, record.place
        if isinstance(outline, dict):
            return Bitmap(_decode(outline, size, place))
        if not isinstance(outline, list) or not outline:
            raise DataError(
                f"{place}: has no outline in segmentation, only a box or points; draw one, or remove the annotation"
            )
        # some programs write the numbers of an only polygon without the list around them
        parts = outline if isinstance(outline[0], list) else [outline]
        return Polygons([to_ring(part, size, place) for part in parts])


def is_coco(content: Any) -> bool:
    """Return whether parsed JSON is of COCO."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "categories"))


def read_coco(path: Path, index: ImageIndex) -> Annotations:
    """Read a file of COCO.

    Args:
        path: The file.
        index: The images of the data.

    Raises:
        DataError: If it is no such file, or contradicts itself.
    """
    content = read_json(path)
    if isinstance(content, dict) and "shapes" in content:
        raise DataError(f"{path}: is a file of LabelMe for one image; set data.annotations to its folder")
    categories = _read_categories(path, content)
    near = relative_to(index.root, str(path.parent.absolute()))
    entries = _read_images(path, content)
    objects = _read_annotations(path, content, entries.keys(), categories)
    images = []
    for number, (name, size) in entries.items():
        place = f"{path}: image {number}"
        if (image := index.find(name, place, near)) is not None:
            records = objects.get(number, [])
            annotation = json.dumps([size, records]).encode()
            images.append(AnnotatedImage(image, place, content=annotation, is_annotated=bool(records)))
    names = [categories[number] for number in sorted(categories, key=lambda number: (isinstance(number, str), number))]
    return Annotations(path, CocoFormat(), list(dict.fromkeys(names)), require_unique(images))


def _read_categories(path: Path, content: Any) -> dict[_Id, str]:
    categories: dict[_Id, str] = {}
    for number, entry in _entries(path, content, "categories"):
        place = f"{path}: category {number}"
        if number in categories:
            raise DataError(f"{place}: occurs twice; give each category an id of its own")
        categories[number] = get(entry, "name", str, place)
    return categories


def _read_images(path: Path, content: Any) -> dict[_Id, tuple[str, Size | None]]:
    """Return the name, and height and width if the file has them, of each image."""
    images: dict[_Id, tuple[str, Size | None]] = {}
    for number, entry in _entries(path, content, "images"):
        place = f"{path}: image {number}"
        if number in images:
            raise DataError(f"{place}: occurs twice; give each image an id of its own")
        has_size = entry.get("height") is not None and entry.get("width") is not None
        size = (get(entry, "height", int, place), get(entry, "width", int, place)) if has_size else None
        images[number] = get(entry, "file_name", str, place), size
    return images


def _read_annotations(
    path: Path, content: Any, images: Container[_Id], categories: Mapping[_Id, str]
) -> dict[_Id, list[list[Any]]]:
    """Return number, class, outline and `iscrowd` of each annotation, by image."""
    objects: dict[_Id, list[list[Any]]] = {}
    # a file of images alone has no annotations
    entries = content.get("annotations") or []
    if not isinstance(entries, list):
        raise DataError(f"{path}: its annotations are no list; export it again")
    for position, entry in enumerate(entries):
        number = entry.get("id", position) if isinstance(entry, dict) else position
        place = f"{path}: annotation {number}"
        image, category = (_get_id(entry, key, place) for key in ("image_id", "category_id"))
        if image not in images:
            raise DataError(f"{place}: there is no image {image}; add it to images, or remove the annotation")
        if category not in categories:
            raise DataError(f"{place}: there is no category {category}; add it to categories, or remove the annotation")
        outline, is_crowd = entry.get("segmentation"), entry.get("iscrowd") or 0
        if is_crowd not in (0, 1):
            raise DataError(f"{place}: its iscrowd is neither 0 nor 1; export it again")
        objects.setdefault(image, []).append([number, categories[category], outline, bool(is_crowd)])
    return objects


def _entries(path: Path, content: Any, key: str) -> Iterator[tuple[_Id, dict[str, Any]]]:
    """Yield the id of each entry of a list, and the entry."""
    for position, entry in enumerate(get(content, key, list, str(path))):
        if not isinstance(entry, dict):
            raise DataError(f"{path}: entry {position} of {key} is {type(entry).__name__}; export it again")
        yield _get_id(entry, "id", f"{path}: entry {position} of {key}"), entry


def _get_id(entry: Any, key: str, place: str) -> _Id:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, int | str):
        state = f"its {key} is {type(value).__name__}" if value is not None else f"has no {key}"
        raise DataError(f"{place}: {state}, and a number is expected; export it again")
    return value


def _decode(outline: dict[str, Any], size: Size, place: str) -> npt.NDArray[np.bool_]:
    """Return the pixels `(H, W)` of a run-length encoding.

    Raises:
        DataError: If it is damaged, or of an image of another size.
    """
    encoded = outline.get("size")
    if not (isinstance(encoded, list) and len(encoded) == 2 and all(isinstance(side, int) for side in encoded)):
        raise DataError(f"{place}: its run-length encoding has no size [height, width]; export it again")
    require_size((encoded[0], encoded[1]), size, place)
    counts = outline.get("counts")
    return from_runs(_decompress(counts, place) if isinstance(counts, str) else counts, size, "F", place)


def _decompress(text: str, place: str) -> npt.NDArray[np.int64]:
    """Return the runs of a compressed run-length encoding.

    Each number has 5 bits a character, lowest first, the sign in the last one; from the fourth on, a run is its
    difference to the last but one. The library of COCO does the same, but its reader has no limits, and uses an
    interface that NumPy deprecates.

    Raises:
        DataError: If it is damaged.
    """
    # JSON can hold half of a surrogate pair, which is no UTF-8
    codes = np.frombuffer(text.encode(errors="surrogatepass"), np.uint8).astype(np.int64) - ord("0")
    ends = np.flatnonzero(codes & _GOES_ON == 0)
    starts = np.append(0, ends[:-1] + 1)
    if not (len(ends) and ends[-1] == len(codes) - 1 and codes.min() >= 0 and codes.max() < 2 * _GOES_ON):
        raise DataError(f"{place}: its run-length encoding is damaged; export it again")
    lengths = ends - starts + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise DataError(f"{place}: its run-length encoding holds a number of {5 * lengths.max()} bits; export it again")
    positions = np.arange(len(codes)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((codes & 31) << 5 * positions, starts)
    runs -= np.where(codes[ends] & 16, 1, 0) << 5 * lengths
    for first in (1, 2):
        runs[first::2] = np.cumsum(runs[first::2])
    return runs
