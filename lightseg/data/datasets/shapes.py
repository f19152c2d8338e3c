"""Procedural datasets of textured shapes, without files, for demonstrations, teaching and tests."""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets.long_tail import long_tail
from lightseg.data.datasets.shapes_painter import OUTLINES, Bytes, paint, paint_lights, void_along_outlines
from lightseg.data.folds import require_alike
from lightseg.data.io.label_options import parse_classes
from lightseg.data.sample_index import mix
from lightseg.data.types import SPLITS, Array, Kind, Split
from lightseg.errors import ConfigError
from lightseg.hardware.memory import require_memory
from lightseg.labels import IGNORE

_SHAPES, _LIGHTS = list(OUTLINES), ["red", "green", "blue"]
_IMAGE_STREAM, _LABEL_STREAM = 1, 2
"""Random streams of a sample."""


class Shapes(ImageDataModule):
    """Segmentation of shapes by their outline: color and texture have one distribution for all classes and the ground.

    Circles are the most frequent and rings the rarest. Sample i of a split depends only on `data_seed`, the split and
    i, and options are independent of each other: label noise, for example, does not change the images.

    Args:
        image_size: Height and width of the images in pixels.
        train_size: Number of training samples.
        val_size: Number of validation samples.
        test_size: Number of test samples.
        objects: Least and greatest number of objects in an image.
        object_size: Least and greatest radius of an object, as a share of `image_size`.
        imbalance: Frequency of the most frequent shape over that of the rarest, in every split; 1: equal.
        label_noise: Share of the training objects with the label of another shape, in 0..1; not with folds.
        void_border: Pixels on either side of every visible outline that are void.
        pixel_noise: Greatest change of a pixel by noise, in 0..255.
        data_seed: Seed of the content; independent of the run's seed.
        **kwargs: As in `ImageDataModule`.

    Raises:
        ConfigError: If a value is outside its range.
    """

    def __init__(
        self,
        image_size: int = 96,
        train_size: int = 500,
        val_size: int = 100,
        test_size: int = 200,
        objects: tuple[int, int] = (3, 6),
        object_size: tuple[float, float] = (0.1, 0.24),
        imbalance: float = 3.0,
        label_noise: float = 0.0,
        void_border: int = 1,
        pixel_noise: int = 12,
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(root="shapes", **kwargs)
        _check("objects", 1 <= objects[0] <= objects[1] <= 100, objects, "the least and the greatest, within 1 and 100")
        _check_common(image_size, object_size, label_noise, pixel_noise)
        _check("void_border", void_border >= 0, void_border, "0 or more")
        require_alike(self._fold, "label_noise", alike=label_noise == 0)
        self.image_size, self.objects, self.object_size = image_size, objects, object_size
        self.sizes = _sizes(train_size, val_size, test_size, image_size)
        self._shares = long_tail(len(_SHAPES), imbalance)
        self.label_noise, self.void_border = label_noise, void_border
        self.pixel_noise, self.data_seed = pixel_noise, data_seed

    @property
    def classes(self) -> list[str]:
        """Return `background` and the five shapes."""
        return ["background", *_SHAPES]

    def make_dataset(self, split: Split) -> ImageDataset:
        """Paint a split into memory, about a millisecond per sample."""
        return _Painted(split, [self._sample(split, index) for index in range(self.sizes[split])])

    def _sample(self, split: Split, index: int) -> tuple[Bytes, Bytes]:
        rng = _generator(self.data_seed, split, index, _IMAGE_STREAM)
        count = rng.integers(self.objects[0], self.objects[1], endpoint=True)
        shapes = _pick(self._shares, rng.random(count))
        names = [_SHAPES[shape] for shape in shapes]
        painting = paint(rng, self.image_size, names, self.object_size, self.pixel_noise)
        if split == "train":
            shapes = _mislabel(shapes, self.label_noise, _generator(self.data_seed, split, index, _LABEL_STREAM))
        mask = np.array([0, *(shapes + 1)], np.uint8)[painting.owner]
        mask[void_along_outlines(painting.owner, self.void_border)] = IGNORE
        return painting.image, mask


class ShapesClassification(ImageDataModule):
    """Classification of one shape per image, painted as in `Shapes`; validation and test stay balanced.

    Args:
        image_size: Height and width of the images in pixels.
        train_size: Number of training samples.
        val_size: Number of validation samples.
        test_size: Number of test samples.
        object_size: Least and greatest radius of the object, as a share of `image_size`.
        imbalance: Training samples of the most frequent shape over those of the rarest; 1: equal; not with folds.
        label_noise: Share of the training samples with the label of another shape, in 0..1; not with folds.
        pixel_noise: Greatest change of a pixel by noise, in 0..255.
        data_seed: Seed of the content; independent of the run's seed.
        **kwargs: As in `ImageDataModule`.

    Raises:
        ConfigError: If a value is outside its range.
    """

    kind: ClassVar[Kind] = "classification"

    def __init__(
        self,
        image_size: int = 32,
        train_size: int = 2000,
        val_size: int = 200,
        test_size: int = 500,
        object_size: tuple[float, float] = (0.25, 0.45),
        imbalance: float = 1.0,
        label_noise: float = 0.0,
        pixel_noise: int = 12,
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(root="shapes", **kwargs)
        _check_common(image_size, object_size, label_noise, pixel_noise)
        require_alike(self._fold, "label_noise", alike=label_noise == 0)
        require_alike(self._fold, "imbalance", alike=imbalance == 1)
        self.image_size, self.object_size = image_size, object_size
        self.sizes = _sizes(train_size, val_size, test_size, image_size)
        self._shares = {split: long_tail(len(_SHAPES), imbalance if split == "train" else 1) for split in SPLITS}
        self.label_noise, self.pixel_noise, self.data_seed = label_noise, pixel_noise, data_seed

    @property
    def classes(self) -> list[str]:
        """Return the five shapes."""
        return list(_SHAPES)

    def make_dataset(self, split: Split) -> ImageDataset:
        """Paint a split into memory, less than a millisecond per sample."""
        return _Painted(split, [self._sample(split, index) for index in range(self.sizes[split])])

    def _sample(self, split: Split, index: int) -> tuple[Bytes, int]:
        rng = _generator(self.data_seed, split, index, _IMAGE_STREAM)
        # multiples of the golden ratio: every range of samples has the classes in their shares
        shapes = _pick(self._shares[split], np.array([index * 0.6180339887498949 % 1]))
        painting = paint(rng, self.image_size, [_SHAPES[shapes[0]]], self.object_size, self.pixel_noise)
        if split == "train":
            shapes = _mislabel(shapes, self.label_noise, _generator(self.data_seed, split, index, _LABEL_STREAM))
        return painting.image, int(shapes[0])


class ShapesMultilabel(ImageDataModule):
    """Segmentation of discs of colored light that overlap: where red and green meet, a pixel is of both.

    Discs of all three colors are painted, whatever the classes. Sample i of a split depends only on `data_seed`, the
    split and i.

    Args:
        classes: Colors to segment, among red, green and blue; one of them is the binary case.
        image_size: Height and width of the images in pixels.
        train_size: Number of training samples.
        val_size: Number of validation samples.
        test_size: Number of test samples.
        discs: Least and greatest number of discs of each color.
        object_size: Least and greatest radius of a disc, as a share of `image_size`.
        void_border: Pixels on either side of the outline of a color that are void for it.
        pixel_noise: Greatest change of a pixel by noise, in 0..255.
        data_seed: Seed of the content; independent of the run's seed.
        **kwargs: As in `ImageDataModule`.

    Raises:
        ConfigError: If a value is outside its range.
    """

    multilabel = True

    def __init__(
        self,
        classes: list[str] | None = None,
        image_size: int = 64,
        train_size: int = 400,
        val_size: int = 80,
        test_size: int = 160,
        discs: tuple[int, int] = (0, 2),
        object_size: tuple[float, float] = (0.12, 0.3),
        void_border: int = 1,
        pixel_noise: int = 12,
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(root="shapes", **kwargs)
        self._classes = parse_classes(classes or _LIGHTS, least=1)
        _check("classes", set(self._classes) <= set(_LIGHTS), self._classes, f"some of {', '.join(_LIGHTS)}")
        _check("discs", 0 <= discs[0] <= discs[1] <= 100 and discs[1] > 0, discs, "the least and the greatest, to 100")
        _check_common(image_size, object_size, 0, pixel_noise)
        _check("void_border", void_border >= 0, void_border, "0 or more")
        self.image_size, self.discs, self.object_size = image_size, discs, object_size
        self.sizes = _sizes(train_size, val_size, test_size, image_size)
        self.void_border, self.pixel_noise, self.data_seed = void_border, pixel_noise, data_seed

    @property
    def classes(self) -> list[str]:
        """Return the colors of the config."""
        return self._classes

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Return the colors themselves."""
        colors = {"red": (230, 60, 60), "green": (60, 200, 60), "blue": (70, 90, 240)}
        return [colors[name] for name in self._classes]

    def make_dataset(self, split: Split) -> ImageDataset:
        """Paint a split into memory, about a millisecond per sample."""
        return _Painted(split, [self._sample(split, index) for index in range(self.sizes[split])], multilabel=True)

    def _sample(self, split: Split, index: int) -> tuple[Bytes, Bytes]:
        rng = _generator(self.data_seed, split, index, _IMAGE_STREAM)
        discs = rng.integers(self.discs[0], self.discs[1], len(_LIGHTS), endpoint=True).tolist()
        image, mask = paint_lights(rng, self.image_size, discs, self.object_size, self.pixel_noise)
        for color in range(len(_LIGHTS)):
            mask[void_along_outlines(mask[..., color], self.void_border), color] = IGNORE
        return image, mask[..., [_LIGHTS.index(name) for name in self._classes]]


class ShapesLabels(Shapes):
    """Multi-label classification of the shapes that are seen in an image, painted as in `Shapes`, with its options."""

    kind: ClassVar[Kind] = "classification"
    multilabel = True

    @property
    def classes(self) -> list[str]:
        """Return the five shapes."""
        return list(_SHAPES)

    def make_dataset(self, split: Split) -> ImageDataset:
        """Paint a split into memory, about a millisecond per sample."""
        painted = [self._sample(split, index) for index in range(self.sizes[split])]
        ids = np.arange(1, 1 + len(_SHAPES))
        return _Painted(split, [(image, np.isin(ids, mask).astype(np.uint8)) for image, mask in painted], True)


class _Painted(ImageDataset):
    """Dataset of samples in memory, as two arrays."""

    def __init__(self, split: Split, samples: Sequence[tuple[Bytes, Bytes | int]], multilabel: bool = False) -> None:
        self._split, self.multilabel = split, multilabel
        self._images = np.stack([image for image, _ in samples]) if samples else np.zeros((0, 1, 1, 3), np.uint8)
        self._targets = np.array([target for _, target in samples], np.uint8)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        target = self._targets[index]
        # a copy, so that no transform can change the dataset
        return self._images[index].copy(), target.copy() if target.ndim else int(target)

    def name(self, index: int) -> str:
        return f"{self._split}-{index}"

    def fingerprint(self) -> str:
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        content = hashlib.sha256(self._images.tobytes())
        content.update(self._targets.tobytes())
        return content.hexdigest()


def _generator(data_seed: int, split: Split, index: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(mix(data_seed, SPLITS.index(split), index, purpose))


def _pick(shares: npt.NDArray[np.float64], draws: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the class ids of draws in 0..1 by inverse transform; equal draws and shares give equal classes."""
    # without the last sum, which rounding may leave below 1
    return np.searchsorted(np.cumsum(shares / shares.sum())[:-1], draws, side="right")


def _mislabel(labels: npt.NDArray[np.int64], share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Replace a share of the labels by another, uniformly drawn class; a greater share replaces these and more."""
    draws, steps = rng.random(len(labels)), rng.integers(1, len(_SHAPES), len(labels))
    return np.where(draws < share, (labels + steps) % len(_SHAPES), labels)


def _sizes(train: int, val: int, test: int, image_size: int) -> dict[Split, int]:
    _check("train_size", train >= 1, train, "1 or more")
    _check("val_size", val >= 1, val, "1 or more")
    _check("test_size", test >= 0, test, "0 or more")
    samples = train + val + test
    # three channels and a mask, kept in memory
    require_memory(4 * samples * image_size**2, "data.train_size", f"{samples} images of {image_size} × {image_size}")
    return {"train": train, "val": val, "test": test}


def _check_common(image_size: int, object_size: tuple[float, float], label_noise: float, pixel_noise: int) -> None:
    _check("image_size", image_size >= 16, image_size, "16 or more")
    least, greatest = object_size
    # an object smaller than a pixel may cover none
    is_valid = 1 / image_size <= least <= greatest <= 0.5
    _check("object_size", is_valid, object_size, f"the least and the greatest, within {1 / image_size:.3f} and 0.5")
    _check("label_noise", 0 <= label_noise <= 1, label_noise, "a share within 0 and 1")
    _check("pixel_noise", 0 <= pixel_noise <= 255, pixel_noise, "a value within 0 and 255")


def _check(name: str, is_valid: bool, value: Any, expected: str) -> None:
    if not is_valid:
        raise ConfigError(f"data.{name}: must be {expected}, got {value}")
