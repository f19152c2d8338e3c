"""Augmentation of whole batches, where they lie: the same pixels on a CPU and on a GPU.

Chance is counter-based, so that the pixels are a function of (seed, epoch, position) here too; see `counter`.
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


class DeviceTransform(ABC):
    """Base of what can be done to a batch: images, and masks with them."""

    @abstractmethod
    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Transform a batch.

        Args:
            images: `(N, C, H, W)` uint8, or float32 in 0..1; not to be written to.
            targets: Masks `(N, H, W)` int64 of class ids and `IGNORE`, or class ids `(N,)`; not to be written to.
            draws: All chance there is; nothing is drawn elsewhere.

        Returns:
            Both in the same shapes and types, on the same device.

        Raises:
            ConfigError: If the images are too small for it.
        """


def transformed(
    transforms: Sequence[DeviceTransform], images: Tensor, targets: Tensor, draws: Draws
) -> tuple[Tensor, Tensor]:
    """All of them, one after another, each with a chance of its own."""
    for number, transform in enumerate(transforms):
        images, targets = transform(images, targets, draws.branch(number))
    return images, targets


class RandomFlip(DeviceTransform):
    """Mirrors images left to right, each time by chance.

    Args:
        p: Probability, 0 to 1.

    Raises:
        ConfigError: If it is none.
    """

    def __init__(self, p: float = 0.5) -> None:
        require(0 <= p <= 1, f"RandomFlip: p: {p} is not a probability, 0 to 1")
        self.p = p

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """See `DeviceTransform`."""
        return _flipped(images, targets, below(draws.positions, _ONE, 0) < round(self.p * _ONE))


class AlternatingFlip(DeviceTransform):
    """Mirrors images left to right in every other epoch: half of them, by chance, in the even ones.

    So two epochs in a row show both sides of every image, where chance would show one of them twice half of the time.

    Source: Jordan 2024, arXiv:2404.00498, section 3.6. Which epochs an image is mirrored in follows from the seed and
    the sample instead of a hash of the sample alone.
    """

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """See `DeviceTransform`."""
        return _flipped(images, targets, (below(draws.samples, 2, 0) + draws.epoch) % 2 == 1)


class RandomTranslate(DeviceTransform):
    """Moves images by a random number of pixels down and to the right: padding on all sides, and a random crop.

    Args:
        pixels: Most pixels, in both directions each.
        padding: What comes in at the borders: the mirrored image, whose mask is mirrored too (`reflect`), or black
            pixels, whose mask is void (`zero`).

    Raises:
        ConfigError: If an option has no meaning.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2, with `zero` and 4 pixels; `reflect` as in Jordan 2024,
    arXiv:2404.00498, section 3.1.
    """

    def __init__(self, pixels: int = 4, padding: Padding = "reflect") -> None:
        require(pixels >= 1, f"RandomTranslate: pixels: {pixels} moves nothing; give 1 or more")
        require(padding in get_args(Padding), f"RandomTranslate: padding: no {padding!r}; give reflect or zero")
        self.pixels, self.padding = pixels, padding

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """See `DeviceTransform`."""
        height, width = images.shape[2:]
        require(
            self.pixels < min(height, width),
            f"RandomTranslate: pixels: {self.pixels} are too many for images of {height}×{width}",
        )
        down, right = (below(draws.positions, 2 * self.pixels + 1, number) - self.pixels for number in (0, 1))
        rows, columns = _moved(height, down)[:, :, None], _moved(width, right)[:, None, :]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        place = (reflected(rows, height) * width + reflected(columns, width)).flatten(1)
        images = _taken(images, place)
        targets = _taken(targets[:, None], place)[:, 0] if targets.ndim > 1 else targets
        if self.padding == "zero":
            images = images * inside[:, None]
            targets = targets.where(inside, IGNORE) if targets.ndim > 1 else targets
        return images, targets


class Cutout(DeviceTransform):
    """Fills a square of every image with one grey; its centre is anywhere, so that parts of it may lie outside.

    Masks stay as they are: what is covered has to be told from what is around it.

    Args:
        size: Side of the square in pixels.
        fill: The grey, 0 to 1.

    Raises:
        ConfigError: If an option has no meaning.

    Source: DeVries & Taylor 2017, arXiv:1708.04552; there the square is filled with the mean of the data, of which
    0.5 is near.
    """

    def __init__(self, size: int = 8, fill: float = 0.5) -> None:
        require(size >= 1, f"Cutout: size: {size} covers nothing; give 1 or more")
        require(0 <= fill <= 1, f"Cutout: fill: {fill} is no grey, 0 to 1")
        self.size, self.fill = size, fill

    def __call__(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """See `DeviceTransform`."""
        height, width = images.shape[2:]
        rows, columns = (
            self._covered(side, below(draws.positions, side, number)) for number, side in enumerate((height, width))
        )
        grey = self.fill if images.is_floating_point() else round(255 * self.fill)
        return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], grey), targets

    def _covered(self, side: int, centre: Tensor) -> Tensor:
        """Return which pixels of a side are in the square, `(N, side)`."""
        distance = torch.arange(side, device=centre.device) - (centre - self.size // 2)[:, None]
        return (distance >= 0) & (distance < self.size)


def _flipped(images: Tensor, targets: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    return images, torch.where(mirrored[:, None, None], targets.flip(-1), targets) if targets.ndim > 1 else targets


def _moved(side: int, by: Tensor) -> Tensor:
    """Return where each pixel of a side comes from, `(N, side)`; may be outside."""
    return torch.arange(side, device=by.device) - by[:, None]


def reflected(place: Tensor, side: int) -> Tensor:
    """Places outside of a side, mirrored at its first and last pixel, which are not repeated."""
    return side - 1 - (side - 1 - place.abs()).abs()


def _taken(images: Tensor, place: Tensor) -> Tensor:
    """Return the pixels `(N, H * W)` of each image `(N, C, H, W)`, in its shape."""
    return images.flatten(2).gather(2, place[:, None].expand(-1, images.shape[1], -1)).view(images.shape)
