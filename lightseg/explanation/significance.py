"""Significance of a difference of rates, by the images that were drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightseg.explanation.table import Floats, Ints

FLIPS = 2000
"""So many times the signs are drawn; the smallest p is one over one more."""

_AT_ONCE = 500


def difference(wrong: Ints, size: Ints) -> Floats:
    """Return what each image adds to the difference of two rates, as if there was none.

    Args:
        wrong: Wrong pixels of each image, inside and outside, `(N, 2)`.
        size: All of them, likewise; there are some both inside and outside.

    Returns:
        `(N,)`, which sum up to the rate inside less the rate outside. If the two are the same, each is as likely to be
        positive as negative.
    """
    pooled = wrong.sum() / size.sum()
    residuals = (wrong - pooled * size) / size.sum(0)
    parts: Floats = residuals[:, 0] - residuals[:, 1]
    return parts


def p_values(parts: Sequence[tuple[Ints, Floats]], images: int) -> tuple[Floats, Floats]:
    """Return how often chance alone gives at least as large a sum, for each of many sums over images.

    The parts of each image get a random sign, the same in all sums, so that sums of the same images go together; sums
    are compared as multiples of the root of their squared parts. n images cannot give less than about 2**-n.

    Args:
        parts: For each sum the images that add to it, and what each adds; none twice.
        images: How many there are in all.

    Returns:
        `(M,)` each: p of a sum by itself, and p that anything as clear is among all the sums, which holds for all
        together.

    Source: the wild cluster bootstrap with the null imposed, Cameron, Gelbach and Miller 2008,
    doi:10.1162/rest.90.3.414; the largest of all sums, Westfall and Young 1993, *Resampling-Based Multiple Testing*.
    """
    rng = np.random.default_rng(0)
    scaled = [(chosen, values / max(float(np.linalg.norm(values)), 1e-300)) for chosen, values in parts]
    # what is as large but for rounding counts
    observed = np.array([values.sum() - 1e-9 for _, values in scaled])
    alone, together = np.zeros((2, len(parts)), np.int64)
    for start in range(0, FLIPS, _AT_ONCE):
        signs = rng.choice(np.array([-1.0, 1.0]), (min(_AT_ONCE, FLIPS - start), images))
        sums = np.stack([signs[:, chosen] @ values for chosen, values in scaled])
        alone += (observed <= sums.T).sum(0)
        together += (observed <= np.abs(sums).max(0)[:, None]).sum(0)
    # what was seen is one of all that is possible
    return (alone + 1) / (FLIPS + 1), (together + 1) / (FLIPS + 1)
