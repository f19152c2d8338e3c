"""Survey of a folder: its layout, a data module that reads it, and the facts that the settings follow from."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightseg.data import AnnotatedImages, MaskFolder, MultilabelAnnotatedImages
from lightseg.data.datasets.annotated_dataset import AnnotatedDataset
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.datasets.label_dataset import LabelDataset
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.types import SPLITS, ClassCounts, Split
from lightseg.diagnosis.samples import Sample, survey
from lightseg.diagnosis.sequences import group_by, looks_like_video, suggest_pattern
from lightseg.errors import DataError, did_you_mean, require
from lightseg.files.evenly_spaced import spread
from lightseg.files.printable import format_count, join_names, printable_line
from lightseg.scaffold.class_names import ClassNames, find_class_names
from lightseg.scaffold.draft import Draft
from lightseg.scaffold.image_values import measure_images
from lightseg.scaffold.layout import Options, find_layout
from lightseg.scaffold.listing import Listing, list_folder
from lightseg.scaffold.mask_labels import find_labels
from lightseg.scaffold.overlap import choose_drawing, measure_overlap

_READ = 200
"""Files that are read of each split; all are listed."""

_PROBED = 40
"""Images whose bit depth and range are measured."""

ImageSizes = npt.NDArray[np.int64]
"""Height and width of images, `(N, 2)`."""

_CLASS_REASONS: dict[type[FileDataModule], str] = {
    AnnotatedImages: "classes of the annotations, in their order; the first one is that of pixels without an object",
    MultilabelAnnotatedImages: (
        "classes of the annotations, in their order; pixels may have several, or none; "
        "`init --data.overlap area` gives each pixel one"
    ),
}
"""Comment on the classes of outlines."""

_DUMMY_CLASSES = ["background", "object"]
_LABEL_OPTIONS = ("values", "colors", "threshold")


@dataclass(frozen=True)
class Survey:
    """Facts about a folder.

    Attributes:
        module: Class of the data module that reads it.
        options: Options of the data module, and their comments.
        reasons: Comments on options.
        group: Pattern of groups that names suggest, which is not among the options; empty without one.
        lines: Description of the folder.
        classes: Class names.
        sizes: Number of samples of each split.
        counts: Pixels (or samples) of each class in `train`, `(C,)`, of the samples that were read.
        image_counts: Number of samples of `train` with each class, `(C,)`, likewise.
        image_sizes: Height and width of the images of `train` that were read, `(N, 2)`.
        channels: Channels of an image.
        is_photo: Whether images are 8-bit color.
        overlap: Share of the pixels, or images, with a class that have several; None if each has one class.
    """

    module: type[FileDataModule]
    options: dict[str, Any]
    reasons: dict[str, str]
    group: str
    lines: list[str]
    classes: list[str]
    sizes: dict[Split, int]
    counts: ClassCounts
    image_counts: ClassCounts
    image_sizes: ImageSizes
    channels: int
    is_photo: bool
    overlap: float | None = None


def survey_folder(root: Path, answers: Options) -> Survey:
    """Survey a folder.

    Args:
        root: The folder.
        answers: Options of the data that the user states.

    Raises:
        DataError: If its layout is not known, or a training could not use it; the message names one thing to do.
        ConfigError: If an answer is no option of the data module.
    """
    listing = list_folder(root)
    layout = find_layout(listing, answers)
    _require_options(layout.module, answers)
    layout = choose_drawing(layout, answers)
    draft = Draft(layout.module, answers, {**layout.options, **answers}, {**layout.reasons})
    if layout.module in _CLASS_REASONS and "classes" not in answers:
        _add_object_classes(draft)
    is_masked = layout.module is MaskFolder
    # the classes are not known yet, and not needed to find the files
    dummies = {"classes": _DUMMY_CLASSES} if is_masked and "classes" not in answers else {}
    parts = _find_files(draft.build(**dummies))
    images = measure_images(_paths(parts["train"], _PROBED))
    draft.add(images.options, images.reasons)
    lines = [f"{listing.root}: {layout.content}"]
    if is_masked and not set(_LABEL_OPTIONS) & answers.keys():
        lines.append(f"masks: {_add_labels(draft, parts, listing)}")
    group, samples = _choose_groups(draft, is_split=bool(layout.splits))
    data = draft.build()
    parts = _find_files(data)
    train = [sample for sample in samples if sample.split == "train" and sample.readable]
    counts, image_counts, totals = _count_classes(data, parts["train"], train)
    sizes = {split: len(part) for split, part in parts.items()}
    image_sizes = np.array([sample.size for sample in train], np.int64)
    lines += [
        f"images: {images.summary}, {_describe_sizes(image_sizes)}",
        f"splits: {', '.join(f'{split} {size:,}' for split, size in sizes.items())} "
        f"({layout.splits or ('by groups at random' if data.has_groups else 'at random')})",
        f"classes: {_describe_classes(data.classes, counts / np.maximum(totals, 1))}",
    ]
    overlap = measure_overlap(parts["train"]) if data.multilabel else None
    if overlap is not None:
        unit = "pixels" if data.kind == "segmentation" else "images"
        lines.append(f"overlap: {overlap:.1%} of the {unit} with a class have several")
    if num_broken := sum(not sample.readable for sample in samples):
        lines.append(f"{format_count(num_broken, 'sample')} of {len(samples):,} cannot be used: the doctor lists them")
    return Survey(
        *(layout.module, draft.options, draft.reasons, group, lines, data.classes, sizes, counts, image_counts),
        *(image_sizes, data.in_channels, images.is_8_bit_color, overlap),
    )


def _require_options(module: type[FileDataModule], answers: Options) -> None:
    """Check that a data module has the options that the user states.

    Raises:
        ConfigError: If not.
    """
    names = {name for base in module.__mro__ for name in inspect.signature(base).parameters}
    for name in answers:
        require(name in names, f"--data.{name}: no option of {module.__name__}{did_you_mean(name, names)}")


def _find_files(data: FileDataModule) -> dict[Split, FileDataset]:
    """Return the samples of each split, without reading them.

    Raises:
        DataError: If the files do not make up splits to train and validate on.
    """
    parts = {split: data.make_dataset(split) for split in SPLITS}
    if empty := [split for split in ("train", "val") if not len(parts[split])]:
        raise DataError(f"{data.root}: the {empty[0]} split is empty; put samples there, or name another folder")
    return parts


def _add_object_classes(draft: Draft) -> None:
    """Add the classes of outlines that objects have, with that of the background."""
    data = draft.build()
    parts = _find_files(data).values()
    labels = {label for part in parts if isinstance(part, AnnotatedDataset) for label in part.object_labels()}
    background = draft.answers.get("background", "background")
    absent = [name for label, name in enumerate(data.classes) if label not in labels and name != background]
    remark = f"; left out, since no object is of it: {', '.join(absent)}" if absent else ""
    draft.options["classes"] = [name for name in data.classes if name not in absent]
    draft.reasons["classes"] = f"{_CLASS_REASONS[draft.module]}{remark}"


def _paths(part: FileDataset, number: int) -> list[Path]:
    """Return the paths of some images, evenly spaced."""
    return [part.root / part.name(index) for index in spread(number, len(part))]


def _add_labels(draft: Draft, parts: Mapping[Split, FileDataset], listing: Listing) -> str:
    """Add the classes of the masks, with the names that the user states, or that a file beside the masks lists.

    Args:
        draft: The data module.
        parts: Splits with the masks.
        listing: The files of the folder, of which a text near the top may list names.

    Returns:
        A description of the values in the masks.
    """
    masks = [
        part.root / name
        for part in parts.values()
        if isinstance(part, MaskDataset)
        for index in spread(_READ, len(part))
        if (name := part.mask_name(index))
    ]
    names = find_class_names(listing.root, [path for path in listing.texts if path.count("/") <= 1])
    if "classes" in draft.answers:
        names = ClassNames(Path("--data.classes"), list(draft.answers["classes"]), [], [])
    channel = draft.answers.get("mask_channel")
    labels = find_labels(masks, names, -1 if channel == "alpha" else channel)
    draft.add(labels.options, labels.reasons)
    return labels.summary


def _read(data: FileDataModule) -> list[Sample]:
    """Read some samples of each split, evenly spaced.

    Raises:
        DataError: If no training sample can be used.
    """
    parts = _find_files(data)
    subsets = {split: part.subset(np.array(spread(_READ, len(part)), np.intp)) for split, part in parts.items()}
    samples = survey(data, subsets)
    train = [sample for sample in samples if sample.split == "train"]
    if not any(sample.readable for sample in train):
        raise train[0].problems[0].error
    return samples


def _choose_groups(draft: Draft, is_split: bool) -> tuple[str, list[Sample]]:
    """Add the groups that the names of video frames show, if they are enough for all splits.

    Args:
        draft: The data module with all other options.
        is_split: Whether the folder has splits.

    Returns:
        The pattern of groups that other names suggest, or an empty one; and some samples of each split.
    """
    data = draft.build()
    samples = _read(data)
    pattern = None if is_split or data.has_groups else suggest_pattern(data, samples)
    if pattern is None:
        return "", samples
    is_video = looks_like_video(samples, group_by(pattern, [sample.name for sample in samples]))
    if not is_video or not _can_split(draft, pattern):
        return pattern, samples
    draft.options["group"] = pattern
    draft.reasons["group"] = "frames of one video, by their names, stay in one split"
    return "", _read(draft.build())


def _can_split(draft: Draft, pattern: str) -> bool:
    """Return whether there are enough groups of a pattern for all splits."""
    with suppress(DataError):
        _find_files(draft.build(group=pattern))
        return True
    return False


def _count_classes(
    data: FileDataModule, part: FileDataset, samples: Sequence[Sample]
) -> tuple[ClassCounts, ClassCounts, ClassCounts]:
    """Count the classes of training samples.

    Args:
        data: The data module.
        part: The training split.
        samples: Samples of it that were read.

    Returns:
        Pixels (or samples) of each class, samples with each class, and valid pixels (or samples), `(C,)` int64 each, or
        `()`. Those of class ids are counted for the whole split.
    """
    if isinstance(part, LabelDataset):
        label_ids = part.label_ids
        counts = (label_ids == 1).sum(0) if data.multilabel else np.bincount(label_ids, minlength=data.num_classes)
        return counts.astype(np.int64), counts.astype(np.int64), np.full(data.num_classes, len(label_ids))
    table = np.array([sample.counts[:-1] for sample in samples])
    counts = table.sum(0)
    valid = np.sum([sample.valid for sample in samples], axis=0) if data.multilabel else counts.sum()
    return counts, (table > 0).sum(0), valid


def _describe_sizes(sizes: ImageSizes) -> str:
    """Return width × height of the images, and their range."""
    (low_height, low_width), (high_height, high_width) = sizes.min(0), sizes.max(0)
    low, high = f"{low_width}×{low_height}", f"{high_width}×{high_height}"
    return f"{low} pixels" if low == high else f"{low} to {high} pixels"


def _describe_classes(classes: Sequence[str], shares: npt.NDArray[np.float64]) -> str:
    """Return the class names with their shares."""
    names = [f"{printable_line(name)} {share:.1%}" for name, share in zip(classes, shares, strict=True)]
    return join_names(names, 12)
