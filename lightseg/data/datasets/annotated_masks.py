"""Base class of the data modules whose masks are drawn from annotated outlines: classes, and which objects are void."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from lightseg.data.annotations.drawing import Crowd, Drawing, OtherClasses
from lightseg.data.annotations.format import AnnotationFormat, Annotations
from lightseg.data.annotations.images import AnnotatedImage, read_content
from lightseg.data.annotations.objects import ImageRecord
from lightseg.data.datasets.annotated_dataset import AnnotatedDataset
from lightseg.data.datasets.annotated_files import AnnotatedFiles
from lightseg.data.io.label_options import MAX_CLASSES
from lightseg.data.types import SPLITS, Split
from lightseg.errors import did_you_mean, require
from lightseg.labels import IGNORE


class AnnotatedMasks(AnnotatedFiles):
    """Segmentation of images whose objects are annotated by outlines, without writing masks.

    Outlines are drawn when an image is read: a pixel belongs to an object if its center is inside. Rectangles, circles
    and ellipses are areas; lines, points and bare boxes are errors.

    Args:
        classes: Class names in the order of their ids. By default, those of the annotations: by id in COCO and YOLO, as
            listed in CVAT, and sorted in LabelMe, whose files are all read for it.
        ignore: Names of classes in the annotations whose objects are void.
        merge: Class name in the annotations → class, such as `{truck: vehicle, bus: vehicle}`.
        other_classes: Treatment of objects of a class that neither `classes` nor `ignore` nor `merge` names: `error`,
            `skip`, which leaves them out, or `ignore`, which makes them void.
        crowd: Treatment of groups of objects (`iscrowd` in COCO): pixels of their `class`, or void by `ignore`.
        **kwargs: Options of `AnnotatedFiles`: annotations and their format; and of `FileDataModule`: reading of images,
            splits and groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    _extra_classes: tuple[str, ...] = ()
    """Names of classes that the annotations do not list, before theirs."""

    _least_classes: ClassVar[int] = 1

    def __init__(
        self,
        classes: list[str] | None = None,
        ignore: list[str] | None = None,
        merge: dict[str, str] | None = None,
        other_classes: OtherClasses = "error",
        crowd: Crowd = "class",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._declared = None if classes is None else list(classes)
        self._ignore, self._merge = list(ignore or []), dict(merge or {})
        self._other_classes, self._crowd = other_classes, crowd
        both = sorted(set(self._ignore) & self._merge.keys())
        require(not both, f"data.ignore, data.merge: {', '.join(both)} is in both; leave it out of one")
        if classes is not None:
            self._require_classes(classes, "data.classes")

    @cached_property
    def classes(self) -> list[str]:
        """Class names of the config, or those of the annotations.

        Raises:
            ConfigError: If the options contradict the annotations.
            DataError: If these are missing, or have no class.
        """
        if self._declared is not None:
            return self._declared
        parts, root = self._parts_by_split.values(), Path(self.root)
        names = list(dict.fromkeys(name for part in parts for name in _class_names(part, root)))
        merged_names = (self._merge.get(name, name) for name in names if name not in self._ignore)
        classes = list(dict.fromkeys([*self._extra_classes, *merged_names]))
        self._require_classes(classes, str(next(iter(parts)).path))
        return classes

    @cached_property
    def _parts_by_split(self) -> dict[Split | None, Annotations]:
        return self._read_annotations()

    @abstractmethod
    def _make_drawing(self, format: AnnotationFormat, ids: dict[str, int]) -> Drawing:  # noqa: A002 - the format's name
        """Return the rules by which annotations become masks.

        Args:
            format: Format of the annotations.
            ids: Id of each class name in the annotations; `IGNORE` for those that are void.
        """

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

        def make(split: Split) -> AnnotatedDataset:
            # a validation split that is taken off train has the annotations of train
            part = parts.get(None) or (parts[split] if split in parts else parts["train"])
            drawing = self._make_drawing(part.format, ids)
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
        least = self._least_classes
        require(
            least <= len(classes) <= MAX_CLASSES,
            f"{place}: {len(classes)} classes ({', '.join(classes[:3])}); {least} to {MAX_CLASSES} are needed"
            + ", the background included" * (least > 1),
        )
        for name in self._merge.values():
            require(
                name in classes,
                f"data.merge: {name} is not among the classes{did_you_mean(name, classes, otherwise=12)}",
            )
        for name in [*self._merge, *self._ignore]:
            require(name not in classes, f"data.merge, data.ignore: {name} is also a class; it can be only one")


def class_names_of_image(part: Annotations, image: AnnotatedImage, root: Path) -> list[str]:
    """Return the names of an image's classes: its labels as a whole, or else those of its objects.

    Raises:
        DataError: If its annotation is damaged.
    """
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


def _class_names(part: Annotations, root: Path) -> Iterator[str]:
    """Yield the names of the classes that annotations list, or else those of their objects, sorted."""
    if part.classes is not None:
        yield from part.classes
        return
    records = (_parse(part, image, root) for image in part.images)
    yield from sorted({item.name for record in records if record for item in record.objects})
