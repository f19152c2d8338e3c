"""Classes of annotated objects, and their drawing as a mask of class ids or with a channel for each class."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lightseg.data.annotations.draw import DrawingError, DrawnShape, Overlap, draw, draw_channels
from lightseg.data.annotations.format import AnnotationFormat
from lightseg.data.annotations.objects import ImageRecord, Size, overhang, require_size
from lightseg.errors import DataError, did_you_mean
from lightseg.labels import IGNORE

OtherClasses = Literal["error", "skip", "ignore"]
"""Treatment of objects of a class that is not declared: an error, no object, or void."""

Crowd = Literal["class", "ignore"]
"""Treatment of a group of objects in one outline: its class, or void."""


class UndeclaredClassError(DataError):
    """Objects of classes that are not declared.

    Args:
        message: The message, about the first one.
        objects: Number of objects of each such class in the image.
    """

    # a message alone must do, as for `UndeclaredError`
    def __init__(self, message: str, objects: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.objects = Counter(objects)


class AnnotationSummary(NamedTuple):
    """Facts about the annotation of an image.

    Attributes:
        is_annotated: Whether there is an annotation.
        overhangs: Distance in pixels that each outline reaches beyond its image, 0 inside.
        others: Number of objects of each class that is not declared.
    """

    is_annotated: bool
    overhangs: list[float]
    others: Counter[str]


@dataclass(frozen=True)
class Drawing(ABC):
    """Rules by which the annotation of an image becomes a mask; equal texts mean equal masks.

    Attributes:
        format: Format of the annotation.
        ids: Id of each class name in the annotations; `IGNORE` for those that are void.
        other_classes: Treatment of objects of other classes.
        crowd: Treatment of groups of objects.
        multilabel: Whether classes may overlap, each in a channel of its own.
    """

    format: AnnotationFormat
    ids: dict[str, int]
    other_classes: OtherClasses
    crowd: Crowd

    multilabel: ClassVar[bool] = False

    @abstractmethod
    def paint(self, shapes: Iterable[DrawnShape], size: Size) -> npt.NDArray[np.uint8]:
        """Return the mask of some shapes, `(H, W)` or `(H, W, K)`.

        Args:
            shapes: The shapes and their ids.
            size: Height and width of the image.

        Raises:
            DrawingError: If an outline is too long, or the shapes are too large.
        """

    def draw(self, content: bytes, size: Size, place: str) -> npt.NDArray[np.uint8]:
        """Return the mask of an image's annotation, `(H, W)` or `(H, W, K)`.

        Args:
            content: The annotation, as it is stored.
            size: Height and width of the image.
            place: File and image, for messages.

        Raises:
            DataError: If it is damaged or of another size.
            UndeclaredClassError: If it is of an undeclared class.
        """
        try:
            return self.paint(self._shapes(self._parse(content, size, place), size), size)
        except DrawingError as error:
            raise DataError(f"{place}: {error}") from None

    def summarize(self, content: bytes, size: Size, place: str) -> AnnotationSummary:
        """Return facts about an image's annotation; see `draw`."""
        record = self._parse(content, size, place)
        overhangs = [overhang(item.shape, size) for item in self._shapes(record, size)]
        return AnnotationSummary(True, overhangs, self._others(record))

    def _parse(self, content: bytes, size: Size, place: str) -> ImageRecord:
        """Return the annotation of an image of a size; see `draw`."""
        record = self.format.parse(content, place)
        require_size(record.size, size, place)
        return record

    def _others(self, record: ImageRecord) -> Counter[str]:
        """Return the number of objects of each class that is not declared."""
        return Counter(item.name for item in record.objects if item.name not in self.ids)

    def _shapes(self, record: ImageRecord, size: Size) -> Iterator[DrawnShape]:
        """Yield the shapes of an annotation with their ids; see `draw`."""
        for item in record.objects:
            label = self.ids.get(item.name, IGNORE)
            if item.name not in self.ids:
                if self.other_classes == "skip":
                    continue
                if self.other_classes == "error":
                    hint = did_you_mean(item.name, self.ids)
                    message = (
                        f"{item.place}: {item.name} is not in data.classes{hint}; add it there or to data.ignore, "
                        "or set other_classes: skip"
                    )
                    raise UndeclaredClassError(message, self._others(record))
            is_void = label == IGNORE or (item.is_crowd and self.crowd == "ignore")
            yield DrawnShape(self.format.shape(item, size), label, is_void)


@dataclass(frozen=True)
class ClassDrawing(Drawing):
    """Drawing of masks `(H, W)` of class ids.

    Attributes:
        background: Id of pixels without an object.
        overlap: Rule for pixels of several objects.
    """

    background: int
    overlap: Overlap

    def paint(self, shapes: Iterable[DrawnShape], size: Size) -> npt.NDArray[np.uint8]:
        """Return the mask `(H, W)` of some shapes; see `Drawing.paint`."""
        return draw(shapes, size, self.background, self.overlap)


@dataclass(frozen=True)
class MultilabelDrawing(Drawing):
    """Drawing of masks `(H, W, K)`, with a channel of 0, 1 and `IGNORE` for each class.

    Attributes:
        num_classes: Number of classes K.
    """

    num_classes: int

    multilabel = True

    def paint(self, shapes: Iterable[DrawnShape], size: Size) -> npt.NDArray[np.uint8]:
        """Return the mask `(H, W, K)` of some shapes; see `Drawing.paint`."""
        return draw_channels(shapes, size, self.num_classes)
