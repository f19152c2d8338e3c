"""Data modules of annotated images: masks drawn from outlines, and classes of whole images."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from lightseg.data.annotations.draw import Overlap
from lightseg.data.annotations.drawing import ClassDrawing
from lightseg.data.annotations.format import AnnotationFormat, Annotations, MissingAnnotation
from lightseg.data.annotations.images import AnnotatedImage
from lightseg.data.datasets.annotated_files import AnnotatedFiles
from lightseg.data.datasets.annotated_masks import AnnotatedMasks, class_names_of_image
from lightseg.data.datasets.label_data_module import LabelDataModule
from lightseg.data.datasets.label_dataset import LabeledImage
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.splits import Splits
from lightseg.data.types import Split
from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.labels import IGNORE


class AnnotatedImages(AnnotatedMasks):
    """Segmentation of images whose objects are annotated by outlines, without writing masks.

    Outlines are drawn when an image is read: a pixel belongs to an object if its center is inside. Rectangles, circles
    and ellipses are areas; lines, points and bare boxes are errors.

    Args:
        classes: Class names in the order of their ids, the background included. By default, the background and then
            the classes of the annotations.
        background: Class of pixels without an object, which may also be a class of the annotations; null: void.
        overlap: Object that a pixel of several belongs to: the last one in the file (in CVAT, of the greatest
            `z_order`) by `order`, or the one with the fewest pixels by `area`.
        **kwargs: Options of `AnnotatedMasks`: void objects and classes that become one; of `AnnotatedFiles`:
            annotations and their format; and of `FileDataModule`: reading of images, splits and groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    _least_classes = 2

    def __init__(
        self,
        classes: list[str] | None = None,
        background: str | None = "background",
        overlap: Overlap = "order",
        **kwargs: Any,
    ) -> None:
        self._background, self._overlap = background, overlap
        self._extra_classes = () if background is None else (background,)
        super().__init__(classes, **kwargs)

    def _make_drawing(self, format: AnnotationFormat, ids: dict[str, int]) -> ClassDrawing:  # noqa: A002
        background = IGNORE if self._background is None else ids[self._background]
        return ClassDrawing(format, ids, self._other_classes, self._crowd, background, self._overlap)

    def _require_classes(self, classes: list[str], place: str) -> None:
        super()._require_classes(classes, place)
        if self._background is not None and self._background not in classes:
            raise ConfigError(
                f"data.background: {self._background} is not among the classes; add it to data.classes, name one of "
                "them, or set background: null, so that pixels without an object are void"
            )


class AnnotatedImagesClassification(LabelDataModule, AnnotatedFiles):
    """Classification of images by their annotations: the one class of each image.

    That is its tag in CVAT, its flag in LabelMe, or else the class of all of its objects; an image of two classes is an
    error, since each has one here.

    Args:
        **kwargs: `classes`, in the order of their ids, by default those that occur, sorted; options of
            `AnnotatedFiles`: annotations and their format; and of `FileDataModule`: reading of images, splits and
            groups. An image without a class is an error, unless `missing_annotation` is `skip`.

    Raises:
        ConfigError: If the options contradict each other.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require(
            self._missing_annotation != "background",
            "data.missing_annotation: a classification has no background; set it to skip or error",
        )

    def _default_missing(self, part: Annotations) -> MissingAnnotation:  # noqa: ARG002
        return "error"

    @cached_property
    def _labeled_parts(self) -> tuple[dict[Split | None, Annotations], dict[str, str]]:
        """Annotations of each split, or of all of them at None, and the name of the class of each annotated image."""
        parts, name_of = {}, dict[str, str]()
        for split, part in self._read_annotations().items():
            images = []
            for image in part.images:
                names = class_names_of_image(part, image, Path(self.root))
                if len(names) > 1:
                    report(_two_classes(image, names))
                    continue
                images.append(image._replace(is_annotated=bool(names)))
                if names:
                    name_of[image.image] = names[0]
            parts[split] = part._replace(images=images)
        return parts, name_of

    def _find_classes(self) -> Iterable[str]:
        return self._labeled_parts[1].values()

    def _find_splits(self) -> Splits[LabeledImage]:
        parts, name_of = self._labeled_parts
        ids = {name: label for label, name in enumerate(self.classes)}
        label_of = {image: ids.get(name, IGNORE) for image, name in name_of.items()}
        for part in parts.values():
            for image in part.images:
                if label_of.get(image.image) == IGNORE:
                    report(self._undeclared_class(image, name_of[image.image]))
        splits = self._split_images(parts, label_of)
        del self._labeled_parts
        return {
            split: [LabeledImage(image.image, label) for image in part if (label := label_of[image.image]) != IGNORE]
            for split, part in splits.items()
        }

    def _undeclared_class(self, image: AnnotatedImage, name: str) -> LayoutError:
        hint = did_you_mean(name, self.classes) or "; add it there, or remove the image"
        message = f"{image.place}: is of the class {name}, which is not in data.classes{hint}"
        return LayoutError("undeclared class", message, [image.image])


def _two_classes(image: AnnotatedImage, names: list[str]) -> LayoutError:
    message = (
        f"{image.place}: has the classes {' and '.join(names[:3])}, and a classification gives an image one; remove "
        "all but one, or the image"
    )
    return LayoutError("two classes", message, [image.image])
