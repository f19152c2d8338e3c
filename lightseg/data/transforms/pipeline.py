"""Albumentations pipelines, seeded per sample, with nearest-neighbor interpolation and void padding of masks."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np

from lightseg.config.class_errors import describe_failure
from lightseg.data.targets import is_multilabel
from lightseg.data.transforms.rare_crop import RareClassCrop
from lightseg.data.types import Array, Kind, Transform
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE

_MOST_PIXELS = 2**28
"""Limit of the pixels of an image that a transform enlarges."""

_RESIZES = (A.Resize, A.LongestMaxSize, A.SmallestMaxSize)
_FRAMES = (A.CenterCrop, A.PadIfNeeded)
"""Changes of the frame of an image, which move no class id."""


class TrainTransform:
    """Augmentation of image and mask together, as a function of a seed.

    Args:
        transforms: Albumentations transforms, applied in order.
        option: Name of their option, for messages.
        multilabel: Whether a sample has a mask for each class.

    Attributes:
        rare_crops: The `RareClassCrop`s among them, whose `rare` has to be set.

    Raises:
        ConfigError: If a transform would interpolate or average masks.
    """

    def __init__(
        self, transforms: Sequence[Transform], option: str = "train_transforms", multilabel: bool = False
    ) -> None:
        for transform in _walk(transforms):
            _check(transform)
            if multilabel and "mask" in transform.targets_as_params:
                name = type(transform).__name__
                raise ConfigError(f"{option}: {name} takes one mask, and here each class has one; leave it out")
            if getattr(transform, "mask_interpolation", cv2.INTER_NEAREST) != cv2.INTER_NEAREST:
                name = type(transform).__name__
                raise ConfigError(f"{option}: {name} would interpolate class ids; leave out mask_interpolation")
            if getattr(transform, "area_for_downscale", None) == "image_mask":
                name = type(transform).__name__
                raise ConfigError(f"{option}: {name} would average class ids; set area_for_downscale: image")
            # albumentations pads masks with 0, which is a class id
            if getattr(transform, "fill_mask", None) == 0:
                transform.fill_mask = IGNORE
        self.rare_crops = [transform for transform in _walk(transforms) if isinstance(transform, RareClassCrop)]
        self._transforms, self._option = list(transforms), option
        self._compose = A.Compose(self._transforms)

    def require_copied_ids(self, image: Array, mask: Array, seed: int) -> None:
        """Check on a sample that each transform, whatever its probability, copies class ids and computes none.

        Each transform changes the mask and the same mask with the order of all ids reversed, by the same random
        numbers; afterwards, each pixel must still be the reverse of the other one, or be filled in both. A mask
        function that a user has written may change ids on purpose.

        Args:
            image: `(H, W, C)` uint8 or float32.
            mask: `(H, W)` or `(H, W, C)` uint8.
            seed: Seed of all random numbers.

        Raises:
            ConfigError: If a transform computes with ids.
        """
        masks = np.moveaxis(mask, -1, 0) if is_multilabel(mask) else mask[None]
        targets = {"masks": np.concatenate([masks, IGNORE - masks]), **({} if is_multilabel(mask) else {"mask": mask})}
        for transform in _walk(self._transforms):
            function = getattr(type(transform), "apply_to_mask", None)
            if not isinstance(transform, A.DualTransform) or not str(function.__module__).startswith("albumentations"):
                continue
            transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
            try:
                result = transform(force_apply=True, image=image, **targets)
            except Exception:  # it may need the transforms before it, such as one that pads
                continue
            changed, reverse = np.split(result["masks"], 2)
            fills = [IGNORE, *(getattr(transform, name, None) for name in ("fill_mask", "mask_drop_value"))]
            is_fill = np.isin(changed, [fill for fill in fills if isinstance(fill, int | float)])
            is_filled = (changed == reverse) & is_fill
            if not (is_filled | (reverse == IGNORE - changed)).all():
                name = type(transform).__name__
                raise ConfigError(
                    f"data.{self._option}: {name} computes with class ids as if they were brightness, so that it makes "
                    "classes of void and of each other; leave it out"
                )

    def __call__(self, image: Array, target: Array | int, seed: int) -> tuple[Array, Array | int]:
        """Transform one sample.

        Args:
            image: `(H, W, C)` uint8 or float32.
            target: Mask `(H, W)` or `(H, W, K)` uint8, or the target of an image, which is returned unchanged.
            seed: Seed of all random numbers.

        Returns:
            Image and target; transforms may change their size.
        """
        seed_all(self._compose, seed)
        if np.ndim(target) == 2:
            result = self._compose(image=image, mask=target)
            return result["image"], result["mask"]
        if isinstance(target, np.ndarray) and target.ndim == 3:
            # one by one, since OpenCV fills at most four channels
            result = self._compose(image=image, masks=np.ascontiguousarray(target.transpose(2, 0, 1)))
            return result["image"], result["masks"].transpose(1, 2, 0)
        return self._compose(image=image)["image"], target


class EvalTransform:
    """Transforms of the image alone: the ground truth keeps its size, and logits are resized to it.

    Args:
        transforms: Resizes and pixel-wise transforms; crops, flips and pads would shift the image against the mask. In
            classification, also `CenterCrop` and `PadIfNeeded`.
        kind: Kind of data.

    Attributes:
        resizes: Whether a transform changes the size of the image.

    Raises:
        ConfigError: If a transform would move pixels against the ground truth.
    """

    def __init__(self, transforms: Sequence[Transform], kind: Kind = "segmentation") -> None:
        geometric = (*_RESIZES, *_FRAMES) if kind == "classification" else _RESIZES
        for transform in _walk(transforms):
            _check(transform)
            if not isinstance(transform, (*geometric, A.ImageOnlyTransform)):
                allowed = ", ".join(allowed_class.__name__ for allowed_class in geometric)
                raise ConfigError(
                    f"eval_transforms: {type(transform).__name__} would shift the image against its ground truth; "
                    f"use {allowed} or transforms that change pixel values only"
                )
        self.resizes = any(isinstance(transform, _RESIZES) for transform in _walk(transforms))
        self._compose = A.Compose(list(transforms))

    def __call__(self, image: Array, target: Array | int, seed: int) -> tuple[Array, Array | int]:
        """Transform the image of one sample; see `TrainTransform.__call__`. The target is returned unchanged.

        Raises:
            ConfigError: If a transform fails.
        """
        seed_all(self._compose, seed)
        try:
            return self._compose(image=image)["image"], target
        except Exception as error:
            transforms = enumerate(self._compose.transforms)
            message = describe_failure(error, [(f"data.eval_transforms.{index}", item) for index, item in transforms])
            if message is None:
                raise
            raise ConfigError(message) from None


class EnlargedError(DataError):
    """Image that a transform would enlarge beyond `_MOST_PIXELS`."""


class _LimitedSmallestMaxSize(A.SmallestMaxSize):  # type: ignore[misc]
    """`SmallestMaxSize` that refuses images so long and narrow that the result would fill the memory."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return the scale; called by albumentations."""
        scaling: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        height, width = params["shape"][:2]
        scale = scaling["scale"]
        if scale > 1 and height * width * scale**2 > _MOST_PIXELS:
            raise EnlargedError(
                f"SmallestMaxSize would turn an image of {height}×{width} (height×width) into "
                f"{height * scale:.0f}×{width * scale:.0f}; leave the image out, or use LongestMaxSize or Resize"
            )
        return scaling


def _check(transform: A.BasicTransform) -> None:
    name = type(transform).__name__
    if type(transform) is A.SmallestMaxSize:
        # it comes from a recipe, which names the class of albumentations
        transform.__class__ = _LimitedSmallestMaxSize
    if name in ("Normalize", "ToTensorV2", "ToTensor3D", "ToFloat"):
        raise ConfigError(f"{name} is not needed: normalization is in the model (model.mean, model.std); leave it out")


def seed_all(compose: A.Compose, seed: int) -> None:
    """Seed a pipeline with one random generator common to all of its transforms.

    `Compose.set_random_seed` would seed a separate generator for each transform with the same seed, which correlates
    the transforms: an image would be flipped if and only if its brightness changes.
    """
    compose.set_random_state(np.random.default_rng(seed), random.Random(seed))


def _walk(transforms: Iterable[Transform]) -> Iterator[A.BasicTransform]:
    """Yield every single transform, including those inside `OneOf` and other compositions."""
    for transform in transforms:
        if isinstance(transform, A.BaseCompose):
            yield from _walk(transform.transforms)
        else:
            yield transform
