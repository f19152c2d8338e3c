"""Significance of differences of rates, with images as the sampling units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightseg.metrics.scores import Floats, Integers

FLIPS = 2000
"""Number of random sign vectors; the smallest p is 1 / (FLIPS + 1)."""

_AT_ONCE = 500


def rate_difference(wrong: Integers, size: Integers) -> Floats:
    """Return the contribution of each image to the difference of two rates, under the null of equal rates.

    Args:
        wrong: Wrong pixels of each image, inside and outside, `(N, 2)`.
        size: All pixels, likewise; the sums inside and outside are positive.

    Returns:
        `(N,)`, whose sum is the rate inside minus the rate outside. Under the null each is positive or negative with
        equal probability.
    """
    pooled = wrong.sum() / size.sum()
    residuals = (wrong - pooled * size) / size.sum(0)
    parts: Floats = residuals[:, 0] - residuals[:, 1]
    return parts


def p_values(parts: Sequence[tuple[Integers, Floats]], images: int) -> tuple[Floats, Floats]:
    """Return p values of sums over images, by random signs of the images.

    The parts of each image get a random sign, the same in all sums, which preserves their correlation; sums are
    compared as multiples of the root of their squared parts. p of n images is at least about 2**-n.

    Args:
        parts: For each of M sums the indices of its images, without repetition, and the contribution of each.
        images: Number of all images.

    Returns:
        `(M,)` each: p of each sum by itself, and p corrected for all M sums.

    Source: the wild cluster bootstrap with the null imposed, Cameron, Gelbach and Miller 2008,
    doi:10.1162/rest.90.3.414; the largest of all sums, Westfall and Young 1993, *Resampling-Based Multiple Testing*.
    """
    rng = np.random.default_rng(0)
    scaled = [(indices, values / max(float(np.linalg.norm(values)), 1e-300)) for indices, values in parts]
    # the tolerance includes sums that are equal apart from rounding
    observed = np.array([values.sum() - 1e-9 for _, values in scaled])
    single, corrected = np.zeros((2, len(parts)), np.int64)
    for start in range(0, FLIPS, _AT_ONCE):
        signs = rng.choice(np.array([-1.0, 1.0]), (min(_AT_ONCE, FLIPS - start), images))
        sums = np.stack([signs[:, indices] @ values for indices, values in scaled])
        single += (observed <= sums.T).sum(0)
        corrected += (observed <= np.abs(sums).max(0)[:, None]).sum(0)
    # the observed signs are one of the possible sign vectors
    return (single + 1) / (FLIPS + 1), (corrected + 1) / (FLIPS + 1)
