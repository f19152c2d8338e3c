"""Data modules of annotated images: masks drawn from outlines, and classes of whole images."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lightseg.data.annotations.draw import Overlap
from lightseg.data.annotations.drawing import Crowd, Drawing, OtherClasses
from lightseg.data.annotations.format import Annotations, MissingAnnotation
from lightseg.data.annotations.images import AnnotatedImage, read_content
from lightseg.data.annotations.objects import ImageRecord
from lightseg.data.datasets.annotated_dataset import AnnotatedDataset
from lightseg.data.datasets.annotated_files import AnnotatedFiles
from lightseg.data.datasets.label_data_module import LabelDataModule
from lightseg.data.datasets.label_dataset import LabeledImage
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.label_map import MAX_CLASSES
from lightseg.data.splits import Splits
from lightseg.data.types import SPLITS, Split
from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.labels import IGNORE


class AnnotatedImages(AnnotatedFiles):
    """Segmentation of images whose objects are annotated by outlines, without writing masks.

    Outlines are drawn when an image is read: a pixel belongs to an object if its center is inside. Rectangles, circles
    and ellipses are areas; lines, points and bare boxes are errors.

    Args:
        classes: Class names in the order of their ids, the background included. By default, the background and then
            the classes of the annotations: by id in COCO and YOLO, as listed in CVAT, and sorted in LabelMe, whose
            files are all read for it.
        background: Class of pixels without an object, which may also be a class of the annotations; null: void.
        overlap: Object that a pixel of several belongs to: the last one in the file (in CVAT, of the greatest
            `z_order`) by `order`, or the one with the fewest pixels by `area`.
        ignore: Names of classes in the annotations whose objects are void.
        merge: Class name in the annotations → class, such as `{truck: vehicle, bus: vehicle, shadow: background}`.
        other_classes: Treatment of objects of a class that neither `classes` nor `ignore` nor `merge` names: `error`,
            `skip` them as if they were not there, or `ignore`, which makes them void.
        crowd: Treatment of groups of objects (`iscrowd` in COCO): pixels of their `class`, or void by `ignore`.
        **kwargs: Options of `AnnotatedFiles`: annotations and their format; and of `FileDataModule`: reading of images,
            splits and groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    def __init__(
        self,
        classes: list[str] | None = None,
        background: str | None = "background",
        overlap: Overlap = "order",
        ignore: list[str] | None = None,
        merge: dict[str, str] | None = None,
        other_classes: OtherClasses = "error",
        crowd: Crowd = "class",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._declared = None if classes is None else list(classes)
        self._background, self._overlap = background, overlap
        self._ignore, self._merge = list(ignore or []), dict(merge or {})
        self._other_classes, self._crowd = other_classes, crowd
        both = sorted(set(self._ignore) & self._merge.keys())
        require(not both, f"data.ignore, data.merge: {', '.join(both)} is in both; leave it out of one")
        if classes is not None:
            self._require_classes(classes, "data.classes")

    @cached_property
    def classes(self) -> list[str]:
        """Class names of the config, or the background and those of the annotations.

        Raises:
            ConfigError: If the options contradict the annotations.
            DataError: If these are missing, or have no class.
        """
        if self._declared is not None:
            return self._declared
        parts, root = self._parts_by_split.values(), Path(self.root)
        names = list(dict.fromkeys(name for part in parts for name in _class_names(part, root)))
        kept = (self._merge.get(name, name) for name in names if name not in self._ignore)
        background = [] if self._background is None else [self._background]
        classes = list(dict.fromkeys([*background, *kept]))
        self._require_classes(classes, str(next(iter(parts)).path))
        return classes

    @cached_property
    def _parts_by_split(self) -> dict[Split | None, Annotations]:
        return self._read_annotations()

    def find_datasets(self) -> Mapping[Split, AnnotatedDataset]:
        """Return the samples of all splits; `test` may be empty.

        Raises:
            DataError: If annotations or images are missing or contradict each other.
        """
        parts, classes = self._parts_by_split, self.classes
        self._require_known(parts.values())
        splits = self._split_images(parts)
        # the datasets hold the annotations in a form that processes share
        del self._parts_by_split
        ids = {name: classes.index(name) for name in classes}
        ids |= {name: ids[label] for name, label in self._merge.items()} | dict.fromkeys(self._ignore, IGNORE)
        background = IGNORE if self._background is None else ids[self._background]

        def make(split: Split) -> AnnotatedDataset:
            # a validation split that is taken off train has the annotations of train
            part = parts.get(None) or (parts[split] if split in parts else parts["train"])
            drawing = Drawing(part.format, ids, background, self._overlap, self._other_classes, self._crowd)
            return AnnotatedDataset(self.root, splits[split], part.path, drawing, self.in_channels, self.image_values)

        return {split: make(split) for split in SPLITS}

    def _require_known(self, parts: Iterable[Annotations]) -> None:
        """Check that options name classes that the annotations list.

        Raises:
            ConfigError: If one does not.
        """
        listed = [part.classes for part in parts]
        names = {name for classes in listed for name in classes or ()}
        for option, keys in (("ignore", self._ignore), ("merge", self._merge)):
            for name in keys:
                hint = did_you_mean(name, names, otherwise=12)
                require(None in listed or name in names, f"data.{option}: the annotations have no class {name}{hint}")

    def _require_classes(self, classes: list[str], place: str) -> None:
        """Check class names.

        Raises:
            ConfigError: If they are too few or too many, or options name a class that is not among them.
        """
        duplicates = sorted({name for name in classes if classes.count(name) > 1})
        require(not duplicates, f"{place}: {', '.join(duplicates)} is listed twice; to merge classes, use data.merge")
        require(
            2 <= len(classes) <= MAX_CLASSES,
            f"{place}: {len(classes)} classes ({', '.join(classes[:3])}); 2 to {MAX_CLASSES} are needed, the "
            "background included",
        )
        if self._background is not None and self._background not in classes:
            raise ConfigError(
                f"data.background: {self._background} is not among the classes; add it to data.classes, name one of "
                "them, or set background: null, so that pixels without an object are void"
            )
        for name in self._merge.values():
            require(
                name in classes,
                f"data.merge: {name} is not among the classes{did_you_mean(name, classes, otherwise=12)}",
            )
        for name in [*self._merge, *self._ignore]:
            require(name not in classes, f"data.merge, data.ignore: {name} is also a class; it can be only one")


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
                names = _image_names(part, image, Path(self.root))
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


def _class_names(part: Annotations, root: Path) -> Iterator[str]:
    """Yield the names of the classes that annotations list, or else those of their objects, sorted."""
    if part.classes is not None:
        yield from part.classes
        return
    records = (_parse(part, image, root) for image in part.images)
    yield from sorted({item.name for record in records if record for item in record.objects})


def _image_names(part: Annotations, image: AnnotatedImage, root: Path) -> list[str]:
    """Return the names of an image's classes: its labels as a whole, or else those of its objects."""
    record = _parse(part, image, root)
    if record is None:
        return []
    return list(dict.fromkeys(record.labels or [item.name for item in record.objects]))


def _parse(part: Annotations, image: AnnotatedImage, root: Path) -> ImageRecord | None:
    """Return the annotation of an image; None without one."""
    if not image.is_annotated:
        return None
    content = read_content(root / image.file) if image.file else image.content
    return part.format.parse(content, image.place)


def _two_classes(image: AnnotatedImage, names: list[str]) -> LayoutError:
    message = (
        f"{image.place}: has the classes {' and '.join(names[:3])}, and a classification gives an image one; remove "
        "all but one, or the image"
    )
    return LayoutError("two classes", message, [image.image])
