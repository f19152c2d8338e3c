"""Class weights from how often each class occurs in the training split."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from lightseg.errors import ConfigError, did_you_mean

Scheme = Literal["inverse", "sqrt_inverse", "effective_number", "median_frequency"]


def class_weights(scheme: Scheme | Sequence[float], counts: Tensor, image_totals: Tensor | None = None) -> Tensor:
    """Return the weight of every class.

    With n the count of a class, the schemes are

    * `inverse`: 1 / n, so that every class has the same say;
    * `sqrt_inverse`: 1 / sqrt(n), half way to it (Mahajan et al. 2018, arXiv:1805.00932, sampling by square root);
    * `effective_number`: see `effective_number`;
    * `median_frequency`: median(f) / f, f being the class's share of the pixels of the images it occurs in.

    They are scaled to a mean of 1 over the classes that occur. A class that does not occur has no say in training
    whatever its weight; it gets the neutral 1, so that the validation loss does not hide what is got wrong there.

    Args:
        scheme: a scheme's name, or C weights to be used as they are.
        counts: pixels (or samples) of each class in the training split, int64 `(C,)`.
        image_totals: for `median_frequency`, the valid pixels of all images that contain the class, int64 `(C,)`; None
            for plain shares of the whole, which are right for classification and where every class is in every image.
            With plain shares the result is that of `inverse`: the two differ by a factor only.

    Returns:
        float32 `(C,)`, finite, >= 0.

    Raises:
        ConfigError: there is no such scheme, a list has the wrong length or impossible values, or nothing was counted.

    Source: median frequency balancing is Eigen & Fergus 2015, arXiv:1411.4734, the definition of alpha_c.
    """
    if not isinstance(scheme, str):
        return _given(scheme, len(counts))
    known = get_args(Scheme)
    if scheme not in known:
        raise ConfigError(f"model.class_weights: there is no {scheme!r}{did_you_mean(scheme, known, len(known))}")
    seen = counts > 0
    if not seen.any():
        raise ConfigError("class weights need a training split in which a class occurs; every count is 0")
    weights = torch.ones(len(counts), dtype=torch.float64)
    raw = _raw(scheme, counts[seen], None if image_totals is None else image_totals[seen])
    weights[seen.cpu()] = (raw / raw.mean()).cpu()
    return weights.float()


def effective_number(counts: Tensor, beta: float | None = None) -> Tensor:
    """Return how many different items n items are worth, new ones overlapping old ones: (1 - beta^n) / (1 - beta).

    With beta = 1 - 1/N it grows like n and levels off at N, the number of different items there are. The paper's 0.9
    to 0.9999 suit counts of images; with millions of pixels, near copies of their neighbours, every class would be at N
    and all weights equal. So N is by default the mean count: classes much rarer than the average are weighted by
    inverse frequency, frequent ones less and less so, and counting at another resolution changes nothing.

    Args:
        counts: int64 `(K,)`, each > 0.
        beta: in [0, 1), or None for 1 - 1 / mean(counts).

    Returns:
        float64 `(K,)`, in [1, min(n, N)].

    Source: Cui et al. 2019, arXiv:1901.05555, proposition 1 and section 4; the weights are its inverse.
    """
    exact = counts.cpu().double()
    different = exact.mean() if beta is None else torch.tensor(1 / (1 - beta), dtype=torch.float64)
    # 1 - beta^n, where beta^n itself would round to 1
    return -torch.expm1(exact * torch.log1p(-1 / different)) * different


def _raw(scheme: str, counts: Tensor, image_totals: Tensor | None) -> Tensor:
    """Return the unscaled weights of classes that occur, float64."""
    exact = counts.cpu().double()
    if scheme == "inverse":
        return 1 / exact
    if scheme == "sqrt_inverse":
        return exact.rsqrt()
    if scheme == "effective_number":
        return 1 / effective_number(counts)
    share = exact / (exact.sum() if image_totals is None else image_totals.cpu().double())
    return share.quantile(0.5) / share


def _given(weights: Sequence[float], classes: int) -> Tensor:
    if len(weights) != classes:
        raise ConfigError(
            f"{len(weights)} class weights for {classes} classes: give one for each, in the classes' order"
        )
    given = torch.tensor(weights, dtype=torch.float32)
    if not (given.isfinite() & (given >= 0)).all() or not given.any():
        raise ConfigError(f"class weights must be finite, at least 0 and not all 0, not {list(weights)}")
    return given
