"""Base class of the data modules of annotated images: where annotations lie, and the splits that they define."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lightseg.data.annotations.find import read_annotations
from lightseg.data.annotations.format import Annotations, FormatName, MissingAnnotation
from lightseg.data.annotations.images import AnnotatedImage, ImageIndex, with_folder_splits
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.splits import Splits, require_disjoint, require_no_splits, without_links
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError, require
from lightseg.files.atomic import expand_home


class AnnotatedFiles(FileDataModule):
    """Images with annotations in the format of COCO, YOLO, LabelMe or CVAT.

    Splits are those of `splits`, of a file per split, of the annotations (the YAML file of YOLO, subsets of CVAT), of
    folders `train`, `val` and `test` of the images, or else random. Without `val`, that is a fraction of `train`;
    without `test`, that split is empty.

    Args:
        annotations: File or folder of the annotations, or one for each split, below `root`: a JSON file of COCO, the
            YAML file of YOLO or its folder, the folder of LabelMe's files, or an XML file of CVAT for images 1.1.
        format: Format of the annotations; by default it is recognized.
        images: Folder of the images below `root`, or one for each split, for annotations whose names of images mean
            several files.
        missing_annotation: Treatment of an image without an annotation: `background`, `skip` it, or `error`. By default
            as the format defines it: an error for LabelMe, where it has not been looked at yet, else background.
        **kwargs: Options of `FileDataModule`: reading of images, splits and groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    def __init__(
        self,
        annotations: str | dict[Split, str] = ".",
        format: FormatName | Literal["auto"] = "auto",  # noqa: A002 - the option's name
        images: str | dict[Split, str] = ".",
        missing_annotation: MissingAnnotation | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        files = _by_split(annotations)
        folders = _by_split(images) if isinstance(images, dict) else dict.fromkeys(files, images)
        if None not in files:
            require("train" in files, "data.annotations: has no file of train; write {train: …, val: …}")
            require(self._lists is None, "data.annotations, data.splits: both define the splits; leave one out")
        require(
            folders.keys() == files.keys(),
            "data.images: names a folder for each split, and data.annotations no file for each of these; give both the "
            "same splits",
        )
        self._annotation_files = {split: (expand_home(file), folders[split]) for split, file in files.items()}
        self._format, self._missing_annotation = format, missing_annotation

    def _default_missing(self, part: Annotations) -> MissingAnnotation:
        """Return the treatment of an image without an annotation where no option says it."""
        return part.format.missing_annotation

    def _read_annotations(self) -> dict[Split | None, Annotations]:
        """Return the annotations of each split, or of all of them at None.

        Raises:
            DataError: If there are none, or they are damaged.
        """
        root, indices = Path(self.root), dict[str, ImageIndex]()
        result = {}
        for split, (file, folder) in self._annotation_files.items():
            if folder not in indices:
                indices[folder] = ImageIndex(root, folder)
            result[split] = read_annotations(root / file, self._format, indices[folder])
        return result

    def _split_images(
        self, parts: Mapping[Split | None, Annotations], label_of: Mapping[str, int] | None = None
    ) -> Splits[AnnotatedImage]:
        """Return the images of each split.

        Args:
            parts: Annotations of each split, or of all of them at None.
            label_of: Class of each annotated image, so that a random split has all classes in each part.

        Raises:
            DataError: If an image is in two splits, has two names, or lacks an annotation.
        """
        root = Path(self.root)
        splits: Splits[AnnotatedImage] = {split: [*parts[split].images] if split in parts else [] for split in SPLITS}
        if None in parts:
            images = parts[None].images
            if self._lists is not None:
                splits = self._split_by_lists(images)
            else:
                images = images if any(image.split for image in images) else with_folder_splits(images)
                if not any(image.split for image in images):
                    return without_links(root, self._split_annotated_at_random(parts[None], label_of))
                splits = _group_by_split(images)
        for split in SPLITS:
            if (part := parts.get(split, parts.get(None))) is not None:
                splits[split] = self._with_annotations(splits[split], part, f" of {split}")
        # the same image differs in its annotation
        bare = {split: [AnnotatedImage(image.image, "") for image in part] for split, part in splits.items()}
        samples = [image for part in bare.values() for image in part]
        require_disjoint(root, bare, [image.image for image in samples], samples)
        return without_links(root, self._complete(splits, _labels(splits["train"], label_of)))

    def _split_annotated_at_random(
        self, part: Annotations, label_of: Mapping[str, int] | None
    ) -> Splits[AnnotatedImage]:
        images = self._with_annotations(part.images, part)
        folders = {folder for image in images for folder in image.image.split("/")[:-1][:2]}
        require_no_splits(
            self.root, folders, "rename them to train, val and test, or name images in lists: data.splits"
        )
        return self._split_at_random(images, _labels(images, label_of))

    def _with_annotations(
        self, images: Sequence[AnnotatedImage], part: Annotations, owner: str = ""
    ) -> list[AnnotatedImage]:
        """Return images without those that lack an annotation, unless these are background; by option, report them.

        Args:
            images: The images.
            part: Their annotations.
            owner: Text for the split that they are of, for messages.
        """
        treatment = self._missing_annotation or self._default_missing(part)
        if treatment == "background":
            if images and self._missing_annotation is None and not any(image.is_annotated for image in images):
                message = (
                    f"{part.path}: annotates none of the {len(images)} images{owner}; looked for {images[0].place}; "
                    "add annotations, or, if all are background, set missing_annotation: background"
                )
                report(LayoutError("image without annotation", message, [image.image for image in images]))
            return [*images]
        names = [image.image for image in images if not image.is_annotated]
        if names and treatment == "error":
            more = f" ({len(names) - 1} more like it)" if len(names) > 1 else ""
            has_background = self.kind == "segmentation" or self.multilabel
            options = "skip or background" if has_background else "skip"
            message = (
                f"{Path(self.root) / names[0]}: has no annotation in {part.path}{more}; annotate it, or set "
                f"missing_annotation: {options}"
            )
            report(LayoutError("image without annotation", message, names))
        return [image for image in images if image.is_annotated]


def _by_split(paths: str | Mapping[Split, str]) -> dict[Split | None, str]:
    """Return the path of each split, or the path of all at None."""
    return {None: paths} if isinstance(paths, str) else {split: paths[split] for split in SPLITS if split in paths}


def _group_by_split(images: Sequence[AnnotatedImage]) -> Splits[AnnotatedImage]:
    """Return images by the split that their annotations define.

    Raises:
        DataError: If some have none.
    """
    splits: Splits[AnnotatedImage] = {split: [] for split in SPLITS}
    for image in images:
        if image.split is None:
            raise DataError(f"{image.place}: is of no split, as other images are; name one, or set data.splits")
        splits[image.split].append(image)
    return splits


def _labels(images: Sequence[AnnotatedImage], label_of: Mapping[str, int] | None) -> list[int] | None:
    """Return the class of each image; None without classes."""
    return None if label_of is None else [label_of[image.image] for image in images]
