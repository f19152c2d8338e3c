"""Survey of a data set: every sample read once, in parallel, and summarized for the checks."""

import hashlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from lightseg.data.annotations.drawing import AnnotationSummary
from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset, count_classes
from lightseg.data.datasets.annotated_dataset import AnnotatedDataset
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.datasets.mask_dataset import MaskDataset, SizeError
from lightseg.data.io.images import BrokenFileError
from lightseg.data.io.label_map import UndeclaredError
from lightseg.data.io.masks import mask_size
from lightseg.data.loading.collate import process_options
from lightseg.data.targets import is_class
from lightseg.data.types import Array, ClassCounts, Split
from lightseg.diagnosis.shift import Shift, measure_shift
from lightseg.errors import DataError
from lightseg.hardware.cpu import usable_cores
from lightseg.labels import IGNORE

Thumbnail = npt.NDArray[np.uint8]
PixelSums = tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]

THUMBNAIL = 32
"""Side of a thumbnail in pixels."""

_BETWEEN = 0.9
"""Least share of undeclared pixels on a slope between two values that shows interpolation."""

_MOST_WORKERS = 16


@dataclass
class Problem:
    """Problem of a sample that cannot be used.

    Attributes:
        file: The image or the mask, as the data set names it.
        error: The error from reading it.
        interpolated: Whether a mask's undeclared values come from interpolation.
    """

    file: str
    error: DataError
    interpolated: bool = False


@dataclass
class Sample:
    """Summary of a sample; all fields after `problems` are empty if it cannot be read.

    Attributes:
        split: Its split.
        name: Its name in the data set.
        mask: Name of its mask; the sample's name if the mask is no file.
        problems: Reasons why it cannot be used.
        size: Height and width.
        counts: Pixels of each class, void last, `(C + 1,)`; for classification 1 at the class.
        valid: Pixels that are not void, of overlapping classes those of each, `(C,)`.
        objects: Pixels of each connected component, by class.
        border: Number of pixels next to another class.
        between: Border pixels of each class between a lower and a higher id, `(C,)`.
        pixels: Sums of `pixel_sums`.
        digest: Hash of the image's pixels.
        bits: Perceptual hash (dHash) of the image.
        thumbnail: Gray thumbnail `(32, 32)` uint8.
        shift: Shift at which the mask's edges fit the image best.
        is_turned: Whether EXIF rotates only one of image and mask, and their sizes do not reveal which is right.
        transparent_share: Share of pixels that an alpha makes transparent which is dropped; None without such an alpha.
        annotation: Facts about its annotation; None if its mask is not drawn from one.
    """

    split: Split
    name: str
    mask: str
    problems: list[Problem] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    counts: ClassCounts = field(default_factory=lambda: np.zeros(0, np.int64))
    valid: ClassCounts = field(default_factory=lambda: np.zeros(0, np.int64))
    objects: dict[int, ClassCounts] = field(default_factory=dict)
    border: int = 0
    between: ClassCounts = field(default_factory=lambda: np.zeros(0, np.int64))
    pixels: PixelSums | None = None
    digest: bytes = b""
    bits: int = 0
    thumbnail: Thumbnail = field(default_factory=lambda: np.zeros((THUMBNAIL, THUMBNAIL), np.uint8))
    shift: Shift | None = None
    is_turned: bool = False
    transparent_share: float | None = None
    annotation: AnnotationSummary | None = None

    @property
    def readable(self) -> bool:
        """Return whether image and target can be used."""
        return not self.problems

    @property
    def void_share(self) -> float:
        """Return the share of the mask's pixels that are void."""
        return 1 - float(self.valid.mean()) / (self.size[0] * self.size[1])


def survey(data: ImageDataModule, parts: Mapping[Split, ImageDataset]) -> list[Sample]:
    """Summarize every sample of every split, with its problems.

    Args:
        data: The data module.
        parts: Its datasets by split.
    """
    summaries = _Summaries(data, parts)
    workers = data.num_workers if data.num_workers is not None else min(_MOST_WORKERS, usable_cores())
    loader = DataLoader(
        summaries,
        batch_size=None,
        # starting workers pays only for many samples
        **process_options(workers if len(summaries) > 4 * workers else 0),
        collate_fn=_identity,
    )
    quiet = not sys.stdout.isatty()
    return list(track(loader, "reading images and masks", len(summaries), transient=True, disable=quiet))


def _identity(sample: Any) -> Any:
    return sample


class _Summaries(Dataset[Sample]):
    """Dataset of the summaries of all samples."""

    def __init__(self, data: ImageDataModule, parts: Mapping[Split, ImageDataset]) -> None:
        self._classes, self._parts, self._multilabel = data.num_classes, dict(parts), data.multilabel
        self._indices = [(split, index) for split, part in parts.items() for index in range(len(part))]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, number: int) -> Sample:
        split, index = self._indices[number]
        part = self._parts[split]
        name = part.name(index)
        sample = Sample(split, name, part.mask_name(index) if isinstance(part, MaskDataset) else name)
        if isinstance(part, MaskDataset):
            sample.problems = _header_problems(part, index, sample)
            if sample.problems:
                return sample
        try:
            image, target = part[index]
            self._require_usable(name, image, target)
        except Exception as error:  # a custom dataset raises arbitrary exceptions
            sample.problems = _problems(part, index, sample, error)
            return sample
        look(sample, image, target, self._classes, self._multilabel)
        sample.is_turned = part.is_turned_alone(index)
        if isinstance(part, FileDataset):
            sample.transparent_share = part.transparent_share(index)
        if isinstance(part, AnnotatedDataset):
            sample.annotation = part.summarize_annotation(index, sample.size)
        return sample

    def _require_usable(self, name: str, image: Any, target: Any) -> None:
        """Check what a custom dataset may get wrong.

        Raises:
            DataError: If type, size or class ids are wrong.
        """
        is_image = isinstance(image, np.ndarray) and image.ndim == 3 and image.dtype in (np.uint8, np.float32)
        if not is_image:
            actual = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise DataError(f"{name}: the image is {actual}; give (H, W, C) uint8, or float32 in 0..1")
        ids = np.asarray(target)
        if self._multilabel:
            self._require_labels(name, image, ids)
            return
        if ids.ndim and ids.shape != image.shape[:2]:
            raise DataError(f"{name}: the mask is {ids.shape}, the image {image.shape[:2]}; give both one size")
        unknown = np.unique(ids[(ids >= self._classes) & (ids != IGNORE)])
        if len(unknown):
            raise DataError(
                f"{name}: holds the class id {unknown[0]}, but there are {self._classes} classes; ids run from 0 to "
                f"{self._classes - 1}, and {IGNORE} is void"
            )

    def _require_labels(self, name: str, image: Array, labels: Array) -> None:
        """Check the target of overlapping classes; see `_require_usable`."""
        shapes = (self._classes,), (*image.shape[:2], self._classes)
        if labels.shape not in shapes:
            raise DataError(f"{name}: the target is {labels.shape}; give {shapes[0]}, or {shapes[1]} for a mask")
        unknown = np.setdiff1d(labels, [0, 1, IGNORE])
        if len(unknown):
            raise DataError(f"{name}: the target holds {unknown[0]}; give 0, 1, and {IGNORE} for void")


def _problems(part: ImageDataset, index: int, sample: Sample, error: Exception) -> list[Problem]:
    """Return all problems of a sample that cannot be read: of its image, of its mask, and of their sizes."""
    if not isinstance(part, MaskDataset):
        return [Problem(sample.name, _as_data_error(sample.name, error))]
    problems = [*_read_problems(part, index, sample.name), *_read_problems(part, index, sample.mask)]
    if any(isinstance(problem.error, UndeclaredError) for problem in problems) and not part.multilabel:
        problems = [*_size_problem(part, index, sample.mask), *problems]
    return problems or [Problem(sample.mask, _as_data_error(sample.name, error))]


def _header_problems(part: MaskDataset, index: int, sample: Sample) -> list[Problem]:
    """Return the problems of a sample whose headers state two sizes; of its files, only the smaller one is decoded."""
    # of several files or channels, sizes are compared when they are read
    if not sample.mask or part.multilabel:
        return []
    try:
        sizes = part.image_size(index), mask_size(part.root / sample.mask)
        part.require_same_size(index, *sizes)
    except SizeError as error:
        is_mask_smaller = math.prod(sizes[1]) <= math.prod(sizes[0])
        smaller = sample.mask if is_mask_smaller else sample.name
        return [Problem(sample.mask, error), *_read_problems(part, index, smaller)]
    except (DataError, OSError):
        # a broken file, which is reported when it is read
        return []
    return []


def _read_problems(part: MaskDataset, index: int, file: str) -> list[Problem]:
    """Return the problem of an image or a mask that cannot be read, in a list."""
    try:
        (part.image if file == part.name(index) else part.mask)(index)
    except DataError as problem:
        is_interpolated = isinstance(problem, UndeclaredError) and _is_interpolated(
            problem, part.file_values(problem.path)
        )
        return [Problem(file, problem, is_interpolated)]
    return []


def _size_problem(part: MaskDataset, index: int, mask: str) -> list[Problem]:
    """Return the problem of a mask with undeclared values that also has another size than its image, in a list."""
    try:
        image_shape = part.image(index).shape[:2]
        part.require_same_size(index, image_shape, part.file_values(part.root / mask).shape[:2])
    except SizeError as error:
        return [Problem(mask, error)]
    except DataError:
        # the image is broken, which is a problem already
        return []
    return []


def _as_data_error(name: str, error: Exception) -> DataError:
    """Return a DataError as it is, and any other exception as a broken file."""
    if isinstance(error, DataError):
        return error
    return BrokenFileError(f"{name}: reading it raises {type(error).__name__}: {error}")


def _is_interpolated(error: UndeclaredError, mask: Array) -> bool:
    """Return whether undeclared values look interpolated: they are many, or lie at borders between other values."""
    if error.is_interpolated or mask.dtype not in (np.uint8, np.uint16):
        return error.is_interpolated
    planes = mask.reshape(*mask.shape[:2], -1)
    reach = np.ones((5, 5), np.uint8)
    # one number per value or color
    weights = 256 ** np.arange(planes.shape[2])
    is_undeclared = np.isin(planes @ weights, np.reshape(list(error.undeclared), (-1, planes.shape[2])) @ weights)
    slope = np.asarray((cv2.dilate(mask, reach) > mask) & (cv2.erode(mask, reach) < mask))
    sloping = np.asarray(slope.reshape(planes.shape).any(axis=2))
    return bool(sloping[is_undeclared].mean() >= _BETWEEN)


def look(sample: Sample, image: Array, target: Array | int, classes: int, multilabel: bool = False) -> None:
    """Fill in the summary of a readable sample.

    Args:
        sample: The summary.
        image: `(H, W, C)` uint8, or float32 in 0..1.
        target: Mask `(H, W)` or class id; of overlapping classes, `(H, W, C)` or `(C,)`.
        classes: Number of classes.
        multilabel: Whether classes may overlap.
    """
    sample.size = image.shape[0], image.shape[1]
    sample.pixels = pixel_sums(image)
    sample.digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
    gray = _gray(image)
    sample.thumbnail = np.asarray(cv2.resize(gray, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA), np.uint8)
    sample.bits = _difference_hash(gray)
    counts = count_classes(target, classes, multilabel)
    sample.counts = np.append(counts[:classes], np.count_nonzero(np.equal(target, IGNORE)))
    sample.valid = counts[:classes] + counts[classes:] if multilabel else np.full(classes, counts.sum())
    if isinstance(target, np.ndarray) and target.ndim > 1:
        present = np.flatnonzero(counts[:classes]).tolist()
        sample.objects = {label: components(is_class(target, label)) for label in present}
        mask = _hash_channels(target) if multilabel else target.astype(np.uint8)
        # the ids of a channel mix with no others
        sample.border, sample.between = (0, sample.between) if multilabel else _borders(mask, classes)
        sample.shift = measure_shift(gray, mask)


def pixel_sums(image: Array) -> PixelSums:
    """Return the number of pixels, and the sum and sum of squares of each channel `(C,)` on the 0..1 scale."""
    if image.dtype not in (np.uint8, np.float32):
        # from a custom dataset; OpenCV does not take all types
        image = image.astype(np.float32)
    moments = [cv2.meanStdDev(image[..., channel]) for channel in range(image.shape[2])]
    mean, deviation = np.array(moments, np.float64).reshape(-1, 2).T / (255 if image.dtype == np.uint8 else 1)
    number = image.shape[0] * image.shape[1]
    return number, number * mean, number * (deviation**2 + mean**2)


def _gray(image: Array) -> npt.NDArray[np.uint8]:
    """Return the mean of the channels, `(H, W)` uint8."""
    scale = (1 if image.dtype == np.uint8 else 255) / image.shape[2]
    weights = np.full(image.shape[2], scale, np.float32)
    return np.asarray(image.astype(np.float32) @ weights + 0.5).clip(0, 255).astype(np.uint8)


def _difference_hash(gray: npt.NDArray[np.uint8]) -> int:
    """Return a 64-bit hash: whether each of 9 × 8 cells is brighter than the one to its right.

    Source: Krawetz 2013, "Kind of like that", dHash.
    """
    cells = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


def _borders(mask: npt.NDArray[np.uint8], classes: int) -> tuple[int, ClassCounts]:
    """Return the number of border pixels, and those of each class between a lower and a higher id, `(C,)`."""
    reach, valid = np.ones((3, 3), np.uint8), mask != IGNORE
    highest = cv2.dilate(np.where(valid, mask, np.uint8(0)), reach)
    # void is the highest byte, so that it is never the minimum of its surroundings
    lowest = cv2.erode(mask, reach)
    border, between = valid & (lowest < highest), valid & (lowest < mask) & (mask < highest)
    return int(border.sum()), np.bincount(mask[between], minlength=classes)[:classes]


def _hash_channels(mask: Array) -> npt.NDArray[np.uint8]:
    """Return a mask `(H, W)` whose borders are those of all channels of a mask `(H, W, K)`."""
    weights = np.arange(1, mask.shape[2] + 1, dtype=np.uint8) * np.uint8(97)
    return np.asarray((mask * weights).sum(2, dtype=np.uint8))


def components(cover: npt.NDArray[np.bool_]) -> ClassCounts:
    """Return the pixels of each connected component of an area `(H, W)`, `(objects,)`."""
    binary = cover.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(binary)
    _, _, stats, _ = cv2.connectedComponentsWithStats(binary[y : y + height, x : x + width], connectivity=8)
    return np.asarray(stats[1:, cv2.CC_STAT_AREA], np.int64)
