"""Interface of an annotation format."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from lightseg.data.annotations.images import AnnotatedImage
from lightseg.data.annotations.objects import ImageRecord, ObjectRecord, Shape, Size

FormatName = Literal["coco", "yolo", "labelme", "cvat"]

MissingAnnotation = Literal["background", "skip", "error"]
"""Treatment of an image without an annotation."""


class AnnotationFormat(ABC):
    """Reader of the annotation of an image; it holds little, since each loading process has a copy.

    Attributes:
        name: Name of the format.
        missing_annotation: Treatment of an image without an annotation, by the definition of the format.
    """

    name: ClassVar[FormatName]
    missing_annotation: ClassVar[MissingAnnotation] = "background"

    @abstractmethod
    def parse(self, content: bytes, place: str) -> ImageRecord:
        """Return the annotation of an image; outlines are not looked at yet.

        Args:
            content: The annotation, as it is stored.
            place: File and image, for messages.

        Raises:
            DataError: If it is not of this format.
        """

    @abstractmethod
    def shape(self, record: ObjectRecord, size: Size) -> Shape:
        """Return the outline of an object.

        Args:
            record: The object.
            size: Height and width of the image.

        Raises:
            DataError: If it has no area, or its outline is damaged.
        """


class Annotations(NamedTuple):
    """Annotations of a file or folder.

    Attributes:
        path: The file or folder.
        format: Their format.
        classes: Names of the classes, in the order of the annotations; None where these do not list them.
        images: The images.
    """

    path: Path
    format: AnnotationFormat
    classes: list[str] | None
    images: Sequence[AnnotatedImage]
