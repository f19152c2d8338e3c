"""Data modules of annotated images whose classes may overlap: a mask of each class, and labels of whole images."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from lightseg.data.annotations.drawing import MultilabelDrawing
from lightseg.data.annotations.format import AnnotationFormat, Annotations
from lightseg.data.datasets.annotated_files import AnnotatedFiles
from lightseg.data.datasets.annotated_masks import AnnotatedMasks, class_names_of_image
from lightseg.data.datasets.label_data_module import LabelDataModule
from lightseg.data.datasets.label_dataset import LabeledImage
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.splits import Splits
from lightseg.data.types import Split
from lightseg.errors import did_you_mean, require

OtherLabels = Literal["error", "skip"]
"""Treatment of labels of a class that is not declared."""


class MultilabelAnnotatedImages(AnnotatedMasks):
    """Segmentation of images whose objects are annotated by outlines, where classes may overlap.

    Each class has a mask of all of its objects, whatever objects of other classes cover them; pixels without an object
    are of none. An object of `ignore` is void for every class, and a group of objects, by `crowd: ignore`, for its
    own; a pixel that is void for a class stays so under other objects. One class is the binary case.

    Args:
        **kwargs: Options of `AnnotatedMasks`: classes, in the order of the channels, and void objects; of
            `AnnotatedFiles`: annotations and their format; and of `FileDataModule`: reading of images, splits and
            groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    multilabel = True

    def _make_drawing(self, format: AnnotationFormat, ids: dict[str, int]) -> MultilabelDrawing:  # noqa: A002
        return MultilabelDrawing(format, ids, self._other_classes, self._crowd, self.num_classes)


class MultilabelAnnotatedImagesClassification(LabelDataModule, AnnotatedFiles):
    """Classification of images by their annotations, where an image has any number of classes.

    These are its tags in CVAT, its flags in LabelMe, or else the classes of its objects; an image has none of the
    others. One class is the binary case.

    Args:
        other_classes: Treatment of classes that `classes` does not list: `error`, or `skip` them.
        **kwargs: `classes`, in the order of their ids, by default those that occur, sorted; options of
            `AnnotatedFiles`: annotations and their format; and of `FileDataModule`: reading of images, splits and
            groups. An image that `missing_annotation` makes `background` has no class.

    Raises:
        ConfigError: If the options contradict each other.
    """

    multilabel = True

    def __init__(self, other_classes: OtherLabels = "error", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require(
            other_classes in get_args(OtherLabels), f"data.other_classes: must be error or skip, got {other_classes!r}"
        )
        self._other_classes = other_classes

    @cached_property
    def _named_parts(self) -> tuple[dict[Split | None, Annotations], dict[str, list[str]]]:
        """Annotations of each split, or of all of them at None, and the names of the classes of each image."""
        parts, root = self._read_annotations(), Path(self.root)
        names = {
            image.image: class_names_of_image(part, image, root) for part in parts.values() for image in part.images
        }
        return parts, names

    def _find_classes(self) -> Iterable[str]:
        return (name for names in self._named_parts[1].values() for name in names)

    def _find_splits(self) -> Splits[LabeledImage]:
        parts, names_of = self._named_parts
        if self._other_classes == "error":
            self._report_undeclared(parts.values(), names_of)
        samples = {
            image: LabeledImage(image, tuple(int(name in names) for name in self.classes))
            for image, names in names_of.items()
        }
        strata = dict(zip(samples, self._strata([*samples.values()]), strict=True))
        splits = self._split_images(parts, strata)
        del self._named_parts
        return {split: [samples[image.image] for image in part] for split, part in splits.items()}

    def _report_undeclared(self, parts: Iterable[Annotations], names_of: dict[str, list[str]]) -> None:
        for part in parts:
            for image in part.images:
                if others := [name for name in names_of[image.image] if name not in self.classes]:
                    hint = did_you_mean(others[0], self.classes)
                    message = (
                        f"{image.place}: has the class {others[0]}, which is not in data.classes{hint}; add it there, "
                        "or set other_classes: skip"
                    )
                    report(LayoutError("undeclared class", message, [image.image]))
