"""Is an attribution faithful? Blur what it points at: the class must go sooner than by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.explanation.attribution import Question
from lightseg.explanation.findings import LEVEL
from lightseg.explanation.significance import p_values
from lightseg.explanation.table import Floats

SHARES = (0.1, 0.2, 0.3, 0.5)
"""Shares of the image that are blurred."""

_CELLS = 12
"""The image is blurred in cells; so many go along a side."""

_DRAWS = 4
"""Random orders of the cells."""

_BLUR = 1 / 8
"""Standard deviation of the blur, as a share of the shorter side."""


@dataclass(frozen=True)
class Deletion:
    """Remaining probability of a class when shares of the image are blurred, relative to that of the image itself.

    Attributes:
        probability: Of the class in the whole image.
        most: Where the cells with the highest attribution go first, float64 `(S,)`, one for each of `SHARES`.
        least: Where those with the lowest go first, likewise.
        random: Where cells go in a random order, the mean of several, likewise.
    """

    probability: float
    most: Floats
    least: Floats
    random: Floats

    @property
    def gain(self) -> float:
        """Return how much less is left than by chance: the area between the two curves over the shares."""
        return float(np.mean(self.random - self.most))


def delete(question: Question, attribution: Tensor, seed: int) -> Deletion:
    """Blur more and more of an image, in three orders.

    Args:
        question: The class and the image.
        attribution: `(H, W)`; the larger, the more a place speaks for the class.
        seed: Of the random orders.

    Source: Petsiuk et al. 2018, "RISE", arXiv:1806.07421, section 4.2. Changed: whole cells are blurred, in the random
    orders too, so that what is compared has the same edges; the curve ends at half of the image.
    """
    height, width = attribution.shape
    cells = (min(_CELLS, height), min(_CELLS, width))
    values = F.adaptive_avg_pool2d(attribution[None, None], cells).flatten().cpu().numpy()
    rng = np.random.default_rng(seed)
    # a map that says nothing of some cells, or of none, points at none of these before the others
    falling = np.lexsort((rng.permutation(len(values)), -values))
    orders = [falling, falling[::-1], *[rng.permutation(len(values)) for _ in range(_DRAWS)]]
    initial = float(question.probability(question.image))
    remaining = np.array([_left(question, order, cells) for order in orders]) / max(initial, 1e-12)
    return Deletion(initial, remaining[0], remaining[1], remaining[2:].mean(0))


def faithfulness(deletions: Sequence[Deletion]) -> tuple[float, float]:
    """Return the mean gain over images, and how often chance alone gives as much, by random signs of each."""
    gains = np.array([each.gain for each in deletions])
    alone, _ = p_values([(np.arange(len(gains)), gains)], len(gains))
    return float(gains.mean()), float(alone[0])


def is_faithful(deletions: Sequence[Deletion]) -> bool:
    """Return whether attributions point at what the net goes by, better than chance, over these images."""
    gain, p = faithfulness(deletions)
    return gain > 0 and p <= LEVEL


def _left(question: Question, order: np.ndarray[tuple[int, ...], np.dtype[np.int64]], cells: tuple[int, int]) -> Floats:
    """Return the probability when the first cells of an order are blurred, `(S,)`."""
    image, blurred = question.image, _blur(question.image)
    rank = torch.empty(len(order), device=image.device)
    rank[torch.from_numpy(order.copy()).to(image.device)] = torch.arange(len(order), device=image.device).float()
    ranks = F.interpolate(rank.view(1, 1, *cells), image.shape[2:], mode="nearest")
    limits = torch.tensor(SHARES, device=image.device).view(-1, 1, 1, 1) * len(order)
    variants = torch.where(ranks < limits, blurred, image)
    # one by one: with more, a large image would need the memory of several
    return np.array([float(question.probability(each[None])) for each in variants])


def _blur(image: Tensor) -> Tensor:
    """Return an image, `(1, C, H, W)`, without what can be told from it at a place."""
    pixels = image[0].permute(1, 2, 0).cpu().numpy()
    sigma = _BLUR * min(pixels.shape[:2])
    channels = [cv2.GaussianBlur(np.ascontiguousarray(pixels[..., c]), (0, 0), sigma) for c in range(pixels.shape[2])]
    return torch.from_numpy(np.stack(channels))[None].to(image.device)
