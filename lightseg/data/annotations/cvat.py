"""CVAT for images 1.1: one XML file for many images, with polygons, boxes, ellipses and masks.

Objects of a greater `z_order` lie above, and of one order later ones. Polygons have no holes, unless their outline
leads to the hole and back; masks are run-length encoded along the rows of their box. Coordinates are rounded to 2
digits and start at the upper left corner of the first pixel. Source: documentation of CVAT, XML annotation format.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from lightseg.data.annotations.documents import iterate_xml
from lightseg.data.annotations.format import AnnotationFormat, Annotations, FormatName
from lightseg.data.annotations.images import AnnotatedImage, ImageIndex, require_unique
from lightseg.data.annotations.objects import (
    Bitmap,
    ImageRecord,
    ObjectRecord,
    Polygons,
    Ring,
    Shape,
    Size,
    ellipse,
    from_runs,
    rectangle,
    require_inside,
    rotate,
    to_numbers,
    to_ring,
)
from lightseg.data.splits import SPLIT_OF, relative_to
from lightseg.errors import DataError

_WITHOUT_AREA = ("cuboid", "points", "polyline", "skeleton", "tag")
"""Types of labels whose objects have no area."""


@dataclass(frozen=True)
class CvatFormat(AnnotationFormat):
    """Element of an image with its objects."""

    name: ClassVar[FormatName] = "cvat"

    def parse(self, content: bytes, place: str) -> ImageRecord:
        """Return the annotation of an image; see `AnnotationFormat`."""
        element = ElementTree.fromstring(content)
        labels, objects = [], []
        for number, child in enumerate(element):
            name = _read(child.attrib, "label", f"{place}: {child.tag} {number}")
            if child.tag == "tag":
                labels.append(name)
            else:
                objects.append(ObjectRecord(f"{place}: {child.tag} {number} ({name})", name, child))
        objects.sort(key=lambda record: _read_int(record.outline.attrib, "z_order", record.place, 0))
        size = _read_int(element.attrib, "height", place), _read_int(element.attrib, "width", place)
        return ImageRecord(size, labels, objects)

    def shape(self, record: ObjectRecord, size: Size) -> Shape:
        """Return the outline of an object; see `AnnotationFormat`."""
        place, values = record.place, record.outline.attrib
        match record.outline.tag:
            case "polygon":
                ring = to_numbers([point.split(",") for point in _read(values, "points", place).split(";")], place)
            case "box":
                left, top, right, bottom = _read_numbers(values, ("xtl", "ytl", "xbr", "ybr"), place)
                ring = _turn(rectangle(left, top, right, bottom), values, place)
            case "ellipse":
                ring = _turn(ellipse(*_read_numbers(values, ("cx", "cy", "rx", "ry"), place)), values, place)
            case "mask":
                top, left, height, width = (_read_int(values, key, place) for key in ("top", "left", "height", "width"))
                require_inside(top, left, (height, width), size, place)
                counts = _read(values, "rle", place).split(",")
                return Bitmap(from_runs(counts, (height, width), "C", place), top, left)
            case tag:
                raise DataError(f"{place}: is a {tag}, which has no area; draw a polygon, or remove it")
        return Polygons([to_ring(ring, size, place)])


def is_cvat(path: Path) -> bool:
    """Return whether an XML file is of CVAT."""
    with path.open("rb") as file:
        return b"<annotations" in file.read(1024)


def read_cvat(path: Path, index: ImageIndex) -> Annotations:
    """Read a file of CVAT for images.

    Args:
        path: The file.
        index: The images of the data.

    Raises:
        DataError: If it is no such file, or contradicts itself.
    """
    near = relative_to(index.root, str(path.parent.absolute()))
    classes: list[str] = []
    images = []
    for depth, element in iterate_xml(path):
        if depth == 1 and element.tag != "annotations":
            raise DataError(f"{path}: is {element.tag}, not annotations of CVAT; export them as CVAT for images 1.1")
        if element.tag == "track":
            raise DataError(f"{path}: holds tracks of a video; export it as CVAT for images 1.1")
        # a part of a skeleton has a parent
        if element.tag == "label" and element.find("parent") is None and _is_area(element):
            classes.append(element.findtext("name", ""))
        if depth == 2 and element.tag == "image":
            if (image := _read_image(path, element, index, near)) is not None:
                images.append(image)
            element.clear()
    return Annotations(path, CvatFormat(), list(dict.fromkeys(filter(None, classes))) or None, require_unique(images))


def _is_area(label: Element) -> bool:
    return label.findtext("type", "any") not in _WITHOUT_AREA


def _read_image(path: Path, element: Element, index: ImageIndex, near: str) -> AnnotatedImage | None:
    """Return an image; None after reporting that there is no such file."""
    name = _read(element.attrib, "name", f"{path}: image {element.get('id', '')}")
    place = f"{path}: {name}"
    image = index.find(name, f"{path}: image {element.get('id', '')}", near)
    if image is None:
        return None
    split = SPLIT_OF.get(element.get("subset", "").lower())
    return AnnotatedImage(
        image, place, content=ElementTree.tostring(element), split=split, is_annotated=len(element) > 0
    )


def _read(values: Mapping[str, str], key: str, place: str) -> str:
    if key not in values:
        raise DataError(f"{place}: has no {key}; export the annotations again")
    return values[key]


def _read_int(values: Mapping[str, str], key: str, place: str, default: int | None = None) -> int:
    text = str(default) if default is not None and key not in values else _read(values, key, place)
    try:
        return int(text[:20])
    except ValueError:
        raise DataError(f"{place}: its {key} is {text[:20]!r}, no whole number; export the annotations again") from None


def _read_numbers(values: Mapping[str, str], keys: tuple[str, ...], place: str) -> list[float]:
    numbers: list[float] = to_numbers([_read(values, key, place) for key in keys], place).tolist()
    return numbers


def _turn(ring: Ring, values: Mapping[str, str], place: str) -> Ring:
    """Return an outline turned by the rotation of its object around its center."""
    center = (ring.min(0) + ring.max(0)) / 2
    return rotate(ring, center.tolist(), float(to_numbers([values.get("rotation", "0")], place)[0]))
