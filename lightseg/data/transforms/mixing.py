"""Mixtures of two training images of different classes: mixup and CutMix."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightseg.errors import require

_MOST = 1000
"""Limit of a parameter, whose shares are all about 0.5; floats overflow with one of 1e308."""


@dataclass(frozen=True)
class Mixing:
    """Distribution of mixtures: mixup, CutMix, or each of them with probability 0.5.

    Args:
        mixup: Parameter alpha of mixup, from 0 to 1000: the share of an image is drawn from Beta(alpha, alpha); 0 for
            none, and 1000 for almost always half.
        cutmix: Parameter alpha of CutMix, likewise, for the share that is kept outside of a box.

    Raises:
        ConfigError: If a parameter is out of range.

    Source: mixup is Zhang et al. 2018, arXiv:1710.09412, eq. 1. CutMix is Yun et al. 2019, arXiv:1905.04899, eq. 1 and
    2; as in the authors' code, the box is clipped at the borders of the image, and the share is that of its pixels.
    Both together are Touvron et al. 2021, arXiv:2012.12877, table 9, with 0.8 and 1.0.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            require(
                0 <= alpha <= _MOST,
                f"data.{name}: the parameter of a beta distribution must be above 0 and at most {_MOST}, got {alpha}; "
                "0 turns it off",
            )

    def __bool__(self) -> bool:
        """Return whether images are mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def __str__(self) -> str:
        """Return the options that mix images, for messages."""
        return " and ".join(f"data.{name}" for name, alpha in vars(self).items() if alpha)

    def draw(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Draw mixtures.

        Returns:
            `(count, 5)`: the share of the image outside of a box, in [0, 1], and the box's top, bottom, left and right
            as fractions of the sides. With mixup the box is empty, with CutMix the share is 1.
        """
        is_cut = rng.random(count) < self._cutmix_probability
        blend, share = (rng.beta(alpha or 1, alpha or 1, count) for alpha in (self.mixup, self.cutmix))
        half = np.where(is_cut, np.sqrt(1 - share) / 2, 0)[:, None]
        center = rng.random((count, 2))
        start, end = np.clip(center - half, 0, 1), np.clip(center + half, 0, 1)
        box = np.stack([start, end], axis=2).reshape(count, 4)
        return np.column_stack([np.where(is_cut, 1, blend), box]).astype(np.float32)

    @property
    def _cutmix_probability(self) -> float:
        """Probability that a mixture is one of CutMix."""
        return 0.5 if self.mixup and self.cutmix else float(self.cutmix > 0)


def mix_images(images: Tensor, partners: Tensor, mixtures: Tensor) -> tuple[Tensor, Tensor]:
    """Mix images with others; the result is the same on every device.

    Args:
        images: `(N, C, H, W)` uint8, or float32 in 0..1.
        partners: The images that they are mixed with, of the same shape and type.
        mixtures: `(N, 5)` float32, rows of `Mixing.draw`.

    Returns:
        The mixtures, of the same shape and type, rounded if uint8; and the share of each image in them, `(N,)` float32.
    """
    height, width = images.shape[2:]
    blend, top, bottom, left, right = mixtures[:, :, None].unbind(1)
    in_rows, in_columns = _is_between(top, bottom, height), _is_between(left, right, width)
    is_cut = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    weight = torch.where(is_cut, 0.0, blend[:, :, None, None])
    mixture = images * weight + partners * (1 - weight)
    if not images.is_floating_point():
        mixture = mixture.round().to(images.dtype)
    pixels = in_rows.sum(1) * in_columns.sum(1)
    return mixture, blend[:, 0] * (1 - pixels / (height * width))


def _is_between(start: Tensor, end: Tensor, side: int) -> Tensor:
    """Return whether each pixel along a side is between two fractions of it, `(N, side)` bool from `(N, 1)`."""
    pixel = torch.arange(side, device=start.device)
    return (pixel >= (start * side).round()) & (pixel < (end * side).round())
