"""LabelMe: a JSON file beside each image, with polygons, rectangles, circles and masks.

The file belongs to the image of the same name, or else to the one that its `imagePath` names. Polygons have no holes,
unless their outline leads to the hole and back; a later shape lies above. Coordinates start at the upper left corner of
the first pixel, as the program draws them; its own conversion also paints the pixels under the outline.
Source: `label_file.py` and `shape.py` of labelme 5.
"""

import base64
import binascii
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightseg.data.annotations.documents import get, parse_json, read_json
from lightseg.data.annotations.format import AnnotationFormat, Annotations, FormatName, MissingAnnotation
from lightseg.data.annotations.images import AnnotatedImage, ImageIndex, require_unique
from lightseg.data.annotations.objects import (
    Bitmap,
    ImageRecord,
    ObjectRecord,
    Polygons,
    Shape,
    Size,
    ellipse,
    rectangle,
    require_inside,
    to_numbers,
    to_ring,
)
from lightseg.data.io.image_files import SKIPPED_FOLDERS
from lightseg.data.splits import relative_to
from lightseg.errors import DataError
from lightseg.files.walk import walk


@dataclass(frozen=True)
class LabelMeFormat(AnnotationFormat):
    """Shapes of LabelMe."""

    name: ClassVar[FormatName] = "labelme"
    # an image without a file has not been looked at yet
    missing_annotation: ClassVar[MissingAnnotation] = "error"

    def parse(self, content: bytes, place: str) -> ImageRecord:
        """Return the annotation of an image; see `AnnotationFormat`."""
        record = parse_json(content, place)
        if isinstance(record, dict) and "annotations" in record:
            raise DataError(f"{place}: is a file of COCO for many images; set data.annotations to the file")
        objects = []
        for number, entry in enumerate(get(record, "shapes", list, place)):
            name = get(entry, "label", str, f"{place}: shape {number}")
            objects.append(ObjectRecord(f"{place}: shape {number} ({name})", name, entry))
        height, width = record.get("imageHeight"), record.get("imageWidth")
        size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        return ImageRecord(size, _read_flags(record.get("flags") or {}, place), objects)

    def shape(self, record: ObjectRecord, size: Size) -> Shape:
        """Return the outline of an object; see `AnnotationFormat`."""
        place, kind = record.place, record.outline.get("shape_type") or "polygon"
        points = to_numbers(record.outline.get("points") or [], place)
        match kind, len(points):
            case ("polygon", _) | ("rectangle", 8):
                ring = points
            case "rectangle", 4:
                ring = rectangle(*points)
            case "circle", 4:
                radius = float(np.hypot(*(points[2:] - points[:2])))
                ring = ellipse(points[0], points[1], radius, radius)
            case "mask", 4:
                left, top, right, bottom = np.round(points).astype(np.int64).tolist()
                box = bottom - top + 1, right - left + 1
                require_inside(top, left, box, size, place)
                return Bitmap(_decode(record.outline.get("mask"), box, place), top, left)
            case "polygon" | "rectangle" | "circle" | "mask", _:
                raise DataError(f"{place}: is a {kind} of {len(points) // 2} points; draw it again, or remove it")
            case _:
                raise DataError(f"{place}: is a {kind}, which has no area; draw a polygon, or remove it")
        return Polygons([to_ring(ring, size, place)])


def is_labelme(content: Any) -> bool:
    """Return whether parsed JSON is of LabelMe."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def list_json(folder: Path) -> Iterator[str]:
    """Yield the paths of the JSON files below a folder, relative to it, in order."""
    for inside, names in walk(str(folder), SKIPPED_FOLDERS):
        yield from (inside + name for name in names if name.lower().endswith(".json"))


def read_labelme(folder: Path, index: ImageIndex) -> Annotations:
    """Read a folder of LabelMe's files.

    Args:
        folder: The folder; the files may lie in folders inside it.
        index: The images of the data.

    Raises:
        DataError: If the folder is not below the root, or a file has no image.
    """
    inside = relative_to(index.root, str(folder.absolute()))
    if inside.startswith(("/", "../")):
        raise DataError(f"{folder}: is not in {index.root}; set data.root to a folder above both")
    prefix = "" if inside == "." else f"{inside}/"
    images = []
    for name in list_json(folder):
        file = prefix + name
        if (image := _find_image(file, index)) is not None:
            images.append(AnnotatedImage(image, str(index.root / file), file))
    annotated = {image.image for image in images}
    unannotated_images = [image for image in index.images if image not in annotated]
    images += [AnnotatedImage(image, str(index.root / image), is_annotated=False) for image in unannotated_images]
    return Annotations(folder, LabelMeFormat(), None, require_unique(images))


def _read_flags(flags: Any, place: str) -> list[str]:
    """Return the names of the flags that are set.

    Raises:
        DataError: If they are anything but names that are true or false.
    """
    if not (isinstance(flags, dict) and all(isinstance(is_set, bool) for is_set in flags.values())):
        raise DataError(f"{place}: its flags are not each true or false; export it again")
    return [name for name, is_set in flags.items() if is_set]


def _find_image(file: str, index: ImageIndex) -> str | None:
    """Return the image of a file, which is read only if names do not tell; None if it has none, or is of another kind.

    A file of LabelMe without an image is reported.
    """
    partners = index.find_partner(file)
    if len(partners) == 1:
        return partners[0]
    path = index.root / file
    content = read_json(path)
    if not is_labelme(content):
        return None
    return index.find(get(content, "imagePath", str, str(path)), f"{path}: imagePath", file.rpartition("/")[0] or ".")


def _decode(text: Any, size: Size, place: str) -> npt.NDArray[np.bool_]:
    """Return the pixels `(h, w)` of a mask, a PNG in base64.

    Raises:
        DataError: If it is damaged, or has another size than its box.
    """
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG",)) as image:
            # before it takes memory
            if image.size != size[::-1]:
                raise DataError(
                    f"{place}: its mask is {image.width}×{image.height} and its box {size[1]}×{size[0]}; draw it again"
                )
            pixels = np.asarray(image)
    except (TypeError, binascii.Error, OSError, SyntaxError, ValueError):
        raise DataError(f"{place}: its mask is no PNG, or is damaged; draw it again") from None
    return pixels.reshape(*size, -1)[..., 0] > 0
