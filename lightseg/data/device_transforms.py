"""Augmentation of whole batches on their device, with the same pixels on a CPU and on a GPU.

Random numbers are counter-based, so that the pixels are a function of (seed, epoch, position); see `counter_rng`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from lightseg.data.transforms.counter_rng import Draws, below
from lightseg.errors import require
from lightseg.labels import IGNORE

Padding = Literal["reflect", "zero"]

_ONE = 2**31
"""Range of the random integers that are compared with a probability."""


class DeviceTransform(ABC):
    """Base class of the transforms of a batch of images and targets."""

    @abstractmethod
    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Transform a batch.

        Args:
            images: `(N, C, H, W)` uint8, or float32 in 0..1; must not be modified in place.
            targets: Masks `(N, H, W)` int64 of class ids and `IGNORE`, or class ids `(N,)` int64; of multi-label data,
                `(N, K, H, W)` or `(N, K)` uint8; likewise.
            draws: The only source of random numbers.

        Returns:
            Images and targets of the same shapes and dtypes, on the same device.

        Raises:
            ConfigError: If the images are too small for it.
        """


def apply_transforms(
    transforms: Sequence[DeviceTransform], images: Tensor, targets: Tensor, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Apply transforms in order, each with independent random numbers; see `DeviceTransform`."""
    for index, transform in enumerate(transforms):
        images, targets = transform(images, targets, draws.branch(index))
    return images, targets


class RandomFlip(DeviceTransform):
    """Random horizontal flip of each image.

    Args:
        p: Probability, 0 to 1.

    Raises:
        ConfigError: If `p` is outside 0 to 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        require(0 <= p <= 1, f"RandomFlip: p: must be 0 to 1, got {p}")
        self.p = p

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Transform a batch; see `DeviceTransform`."""
        return _flip(images, targets, below(draws.positions, _ONE, 0) < round(self.p * _ONE))


class AlternatingFlip(DeviceTransform):
    """Horizontal flip of each image in every other epoch, for a random half of the images in the even ones.

    Any two consecutive epochs show both orientations of every image, while independent flips would repeat one of them
    half of the time.

    Source: Jordan 2024, arXiv:2404.00498, section 3.6. The parity of an image follows from the seed and the sample
    instead of a hash of the sample alone.
    """

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Transform a batch; see `DeviceTransform`."""
        return _flip(images, targets, (below(draws.samples, 2, 0) + draws.epoch) % 2 == 1)


class RandomTranslate(DeviceTransform):
    """Random translation by whole pixels: padding on all sides, then a random crop.

    Args:
        pixels: Maximum shift in pixels, in each direction.
        padding: Content of the borders: the mirrored image and mask (`reflect`), or black pixels with a void mask
            (`zero`).

    Raises:
        ConfigError: If an option is outside its range.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2, with `zero` and 4 pixels; `reflect` as in Jordan 2024,
    arXiv:2404.00498, section 3.1.
    """

    def __init__(self, pixels: int = 4, padding: Padding = "reflect") -> None:
        require(pixels >= 1, f"RandomTranslate: pixels: must be 1 or more, got {pixels}")
        require(padding in get_args(Padding), f"RandomTranslate: padding: must be reflect or zero, got {padding!r}")
        self.pixels, self.padding = pixels, padding

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Transform a batch; see `DeviceTransform`."""
        height, width = images.shape[2:]
        require(
            self.pixels < min(height, width),
            f"RandomTranslate: pixels: must be below the sides of the images, {height}×{width}, got {self.pixels}",
        )
        down, right = (below(draws.positions, 2 * self.pixels + 1, number) - self.pixels for number in (0, 1))
        rows, columns = _source_index(height, down)[:, :, None], _source_index(width, right)[:, None, :]
        is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        pixels = (reflected(rows, height) * width + reflected(columns, width)).flatten(1)
        images = _gather_pixels(images, pixels)
        masks = _gather_pixels(_planes(targets), pixels) if targets.ndim > 2 else None
        if self.padding == "zero":
            images = images * is_inside[:, None]
            masks = None if masks is None else masks.where(is_inside[:, None], IGNORE)
        return images, targets if masks is None else masks.view(targets.shape)


class Cutout(DeviceTransform):
    """Random square of constant gray in each image; its center is any pixel, so it may extend beyond the image.

    Masks are unchanged: the net has to predict the covered pixels from their surroundings.

    Args:
        size: Side of the square in pixels.
        fill: Gray value, 0 to 1.

    Raises:
        ConfigError: If an option is outside its range.

    Source: DeVries & Taylor 2017, arXiv:1708.04552, which fills the square with the mean of the data; 0.5 is close to
    it.
    """

    def __init__(self, size: int = 8, fill: float = 0.5) -> None:
        require(size >= 1, f"Cutout: size: must be 1 or more, got {size}")
        require(0 <= fill <= 1, f"Cutout: fill: must be 0 to 1, got {fill}")
        self.size, self.fill = size, fill

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Transform a batch; see `DeviceTransform`."""
        height, width = images.shape[2:]
        rows, columns = (
            self._is_covered(side, below(draws.positions, side, number)) for number, side in enumerate((height, width))
        )
        gray = self.fill if images.is_floating_point() else round(255 * self.fill)
        return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], gray), targets

    def _is_covered(self, side: int, center: Tensor) -> Tensor:
        """Return whether each pixel along a side is in the square, `(N, side)` bool, from its center `(N,)`."""
        distance = torch.arange(side, device=center.device) - (center - self.size // 2)[:, None]
        return (distance >= 0) & (distance < self.size)


def _flip(images: Tensor, targets: Tensor, is_mirrored: Tensor) -> tuple[Tensor, Tensor]:
    is_mirrored = is_mirrored[:, None, None, None]
    images = torch.where(is_mirrored, images.flip(-1), images)
    if targets.ndim < 3:
        return images, targets
    masks = _planes(targets)
    return images, torch.where(is_mirrored, masks.flip(-1), masks).view(targets.shape)


def _planes(masks: Tensor) -> Tensor:
    """Return masks `(N, H, W)` or `(N, C, H, W)` with an axis of channels."""
    return masks if masks.ndim == 4 else masks[:, None]


def _source_index(side: int, shift: Tensor) -> Tensor:
    """Return the source position of each pixel along a side, `(N, side)`, from shifts `(N,)`; may be out of range."""
    return torch.arange(side, device=shift.device) - shift[:, None]


def reflected(position: Tensor, side: int) -> Tensor:
    """Mirror positions beyond a side at its first and last pixel, which are not repeated; any shape, int64."""
    return side - 1 - (side - 1 - position.abs()).abs()


def _gather_pixels(images: Tensor, pixels: Tensor) -> Tensor:
    """Return `(N, C, H, W)` with the pixels of images `(N, C, H, W)` at flat positions `(N, H * W)`."""
    return images.flatten(2).gather(2, pixels[:, None].expand(-1, images.shape[1], -1)).view(images.shape)
