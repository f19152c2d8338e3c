"""Deletion test of the faithfulness of attributions: blurring high attributions must reduce the class soonest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.explanation.attribution import ClassTarget
from lightseg.explanation.significance import p_values
from lightseg.metrics.formatting import LEVEL
from lightseg.metrics.scores import Floats, Integers

SHARES = (0.1, 0.2, 0.3, 0.5)
"""Blurred shares of the image."""

_CELLS = 12
"""Number of cells along a side; the image is blurred cell by cell."""

_DRAWS = 4
"""Number of random orders of the cells."""

_BLUR = 1 / 8
"""Standard deviation of the blur, as a share of the shorter side."""


@dataclass(frozen=True)
class Deletion:
    """Remaining probability of a class when shares of the image are blurred, relative to that of the image itself.

    Attributes:
        probability: Probability of the class in the original image.
        most: Remaining shares with the cells of the highest attribution blurred first, float64 `(S,)` for `SHARES`.
        least: The same with the cells of the lowest attribution blurred first.
        random: The same in random order, averaged over several orders.
    """

    probability: float
    most: Floats
    least: Floats
    random: Floats

    @property
    def gain(self) -> float:
        """Return the gain over a random order: the area between the two curves over the shares."""
        return float(np.mean(self.random - self.most))


def measure_deletion(target: ClassTarget, attribution: Tensor, seed: int) -> Deletion:
    """Blur increasing shares of an image, in three orders.

    Args:
        target: The class and the image.
        attribution: `(H, W)`; larger at pixels with more evidence for the class.
        seed: Seed of the random orders.

    Source: Petsiuk et al. 2018, "RISE", arXiv:1806.07421, section 4.2. Changed: entire cells are blurred, in the random
    orders too, so that all orders have the same edges; the curve ends at half of the image.
    """
    height, width = attribution.shape
    cells = (min(_CELLS, height), min(_CELLS, width))
    values = F.adaptive_avg_pool2d(attribution[None, None], cells).flatten().cpu().numpy()
    rng = np.random.default_rng(seed)
    # cells of equal attribution are blurred in random order
    descending = np.lexsort((rng.permutation(len(values)), -values))
    orders = [descending, descending[::-1], *[rng.permutation(len(values)) for _ in range(_DRAWS)]]
    probability = float(target.probability(target.image))
    curves = np.array([_probabilities(target, order, cells) for order in orders]) / max(probability, 1e-12)
    return Deletion(probability, curves[0], curves[1], curves[2:].mean(0))


def faithfulness(deletions: Sequence[Deletion]) -> tuple[float, float]:
    """Return the mean gain over images, and its p value under random signs of the gains."""
    gains = np.array([deletion.gain for deletion in deletions])
    p, _ = p_values([(np.arange(len(gains)), gains)], len(gains))
    return float(gains.mean()), float(p[0])


def is_faithful(deletions: Sequence[Deletion]) -> bool:
    """Return whether attributions locate the evidence of the net significantly better than chance."""
    gain, p = faithfulness(deletions)
    return gain > 0 and p <= LEVEL


def _probabilities(target: ClassTarget, order: Integers, cells: tuple[int, int]) -> Floats:
    """Return the probability with the first cells of an order blurred, `(S,)` for `SHARES`."""
    image, blurred = target.image, _blur(target.image)
    rank = torch.empty(len(order), device=image.device)
    rank[torch.from_numpy(order.copy()).to(image.device)] = torch.arange(len(order), device=image.device).float()
    ranks = F.interpolate(rank.view(1, 1, *cells), image.shape[2:], mode="nearest")
    limits = torch.tensor(SHARES, device=image.device).view(-1, 1, 1, 1) * len(order)
    variants = torch.where(ranks < limits, blurred, image)
    # one forward pass for each variant limits the memory for large images
    return np.array([float(target.probability(variant[None])) for variant in variants])


def _blur(image: Tensor) -> Tensor:
    """Return an image, `(1, C, H, W)`, blurred beyond local detail."""
    pixels = image[0].permute(1, 2, 0).cpu().numpy()
    sigma = _BLUR * min(pixels.shape[:2])
    channels = [cv2.GaussianBlur(np.ascontiguousarray(pixels[..., c]), (0, 0), sigma) for c in range(pixels.shape[2])]
    return torch.from_numpy(np.stack(channels))[None].to(image.device)
