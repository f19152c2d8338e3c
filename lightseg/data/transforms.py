"""Albumentations pipelines made safe: seeded per sample, masks by nearest neighbour only, padding is void."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE

Transform: TypeAlias = A.BasicTransform | A.BaseCompose
Array = npt.NDArray[Any]

_RESIZES = (A.Resize, A.LongestMaxSize, A.SmallestMaxSize)


class TrainTransform:
    """Augments image and mask together; every random choice comes from the seed that is given.

    Args:
        transforms: Albumentations transforms, applied in order.

    Raises:
        ConfigError: If a transform would interpolate masks.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        for transform in _walk(transforms):
            if getattr(transform, "mask_interpolation", cv2.INTER_NEAREST) != cv2.INTER_NEAREST:
                name = type(transform).__name__
                raise ConfigError(f"train_transforms: {name} would interpolate class ids; leave out mask_interpolation")
            # albumentations pads masks with 0, which is a class; padding has no class
            if getattr(transform, "fill_mask", None) is not None:
                transform.fill_mask = IGNORE
        self._compose = A.Compose(list(transforms))

    def __call__(self, image: Array, target: Array | int, seed: int) -> tuple[Array, Array | int]:
        """Transform one sample.

        Args:
            image: `(H, W, C)` uint8 or float32.
            target: `(H, W)` uint8 mask, or a class id, which passes through.
            seed: Seed of every random choice.
        """
        self._compose.set_random_seed(seed & 0xFFFFFFFF)
        if isinstance(target, np.ndarray):
            result = self._compose(image=image, mask=target)
            return result["image"], result["mask"]
        return self._compose(image=image)["image"], target


class EvalTransform:
    """Prepares the image alone: the ground truth keeps its own size, and logits are brought to it.

    Args:
        transforms: Resizes and pixel-wise transforms; no crops, flips or pads, which would shift image against truth.

    Raises:
        ConfigError: If a transform would move pixels against the ground truth.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        for transform in _walk(transforms):
            if not isinstance(transform, (*_RESIZES, A.ImageOnlyTransform)):
                allowed = ", ".join(resize.__name__ for resize in _RESIZES)
                raise ConfigError(
                    f"eval_transforms: {type(transform).__name__} would shift the image against its ground truth; "
                    f"use {allowed} or transforms that change pixel values only"
                )
        self._compose = A.Compose(list(transforms))

    def __call__(self, image: Array, target: Array | int, seed: int) -> tuple[Array, Array | int]:
        """Transform the image of one sample; the target is returned untouched."""
        self._compose.set_random_seed(seed & 0xFFFFFFFF)
        return self._compose(image=image)["image"], target


def _walk(transforms: Iterable[Transform]) -> Iterator[A.BasicTransform]:
    """Every single transform, those inside `OneOf` and other compositions included."""
    for transform in transforms:
        if isinstance(transform, A.BaseCompose):
            yield from _walk(transform.transforms)
        else:
            yield transform
