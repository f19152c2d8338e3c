"""Classes of annotated objects, and their drawing as a mask of class ids or with a channel for each class."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from lightseg.data.annotations.draw import DrawingError, DrawnShape, Overlap, draw, draw_channels
from lightseg.data.annotations.format import AnnotationFormat
from lightseg.data.annotations.objects import Size, require_size
from lightseg.errors import DataError, did_you_mean
from lightseg.labels import IGNORE

OtherClasses = Literal["error", "skip", "ignore"]
"""Treatment of objects of a class that is not declared: an error, no object, or void."""

Crowd = Literal["class", "ignore"]
"""Treatment of a group of objects in one outline: its class, or void."""


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
            DataError: If it is damaged, of another size, or of an undeclared class.
        """
        try:
            return self.paint(self.shapes(content, size, place), size)
        except DrawingError as error:
            raise DataError(f"{place}: {error}") from None

    def shapes(self, content: bytes, size: Size, place: str) -> Iterator[DrawnShape]:
        """Yield the shapes of an image's annotation with their ids; see `draw`."""
        record = self.format.parse(content, place)
        require_size(record.size, size, place)
        for item in record.objects:
            label = self.ids.get(item.name, IGNORE)
            if item.name not in self.ids:
                if self.other_classes == "skip":
                    continue
                if self.other_classes == "error":
                    hint = did_you_mean(item.name, self.ids)
                    raise DataError(
                        f"{item.place}: {item.name} is not in data.classes{hint}; add it there or to data.ignore, "
                        "or set other_classes: skip"
                    )
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
