"""Class weights and initial biases that follow from the class frequencies of the training split."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lightseg.errors import ConfigError, did_you_mean

WeightScheme = Literal["inverse", "sqrt_inverse", "effective_number", "median_frequency"]
PositiveWeightScheme = Literal["balanced"]

LARGEST_WEIGHT = 1e6
"""Largest weight of a class or a loss in a recipe, and one over the smallest."""


def class_weights(scheme: WeightScheme | Sequence[float], counts: Tensor, image_totals: Tensor | None = None) -> Tensor:
    """Return the weight of every class.

    With n the count of a class, the schemes are

    * `inverse`: 1 / n, so that every class has the same total weight;
    * `sqrt_inverse`: 1 / sqrt(n) (Mahajan et al. 2018, arXiv:1805.00932, sampling by square root);
    * `effective_number`: see `effective_number`;
    * `median_frequency`: median(f) / f, f being the class's share of the pixels of the images it occurs in.

    They are scaled to a mean of 1 over the classes that occur. Other classes have a weight of 1, which matters in the
    validation loss alone.

    Args:
        scheme: A scheme's name, or C weights to be used as they are.
        counts: Pixels (or samples) of each class in the training split, int64 `(C,)`.
        image_totals: For `median_frequency`, the valid pixels of all images that contain the class, int64 `(C,)`; None
            for shares of all pixels, as in classification, for which the result equals that of `inverse`.

    Returns:
        float32 `(C,)`, finite, >= 0.

    Raises:
        ConfigError: If the scheme is unknown, a list has a wrong length or invalid values, or all counts are 0.

    Source: median frequency balancing is Eigen & Fergus 2015, arXiv:1411.4734, the definition of alpha_c.
    """
    if not isinstance(scheme, str):
        return _checked(scheme, len(counts), "class_weights")
    schemes = get_args(WeightScheme)
    if scheme not in schemes:
        raise ConfigError(f"model.class_weights: there is no {scheme!r}{did_you_mean(scheme, schemes, len(schemes))}")
    is_present = counts > 0
    if not is_present.any():
        raise ConfigError("class weights need a training split in which a class occurs; every count is 0")
    weights = torch.ones(len(counts), dtype=torch.float64)
    raw = _raw(scheme, counts[is_present], None if image_totals is None else image_totals[is_present])
    weights[is_present.cpu()] = (raw / raw.mean()).cpu()
    return weights.float()


def positive_weights(scheme: PositiveWeightScheme | Sequence[float], truth: Tensor) -> Tensor:
    """Return the weight of the positives of each class relative to its negatives.

    `balanced` gives the positives of a class the same total weight as its negatives: their ratio n_0 / n_1. A class
    without positives or negatives has a weight of 1.

    Args:
        scheme: `balanced`, or C weights to be used as they are.
        truth: Pixels (or samples) without and with each class in the training split, int64 `(C, 2)`.

    Returns:
        float32 `(C,)`, finite, >= 0.

    Raises:
        ConfigError: If the scheme is unknown, or a list has a wrong length or invalid values.
    """
    if not isinstance(scheme, str):
        return _checked(scheme, len(truth), "positive_weights")
    schemes = get_args(PositiveWeightScheme)
    if scheme not in schemes:
        raise ConfigError(f"model.positive_weights: there is no {scheme!r}{did_you_mean(scheme, schemes, 1)}")
    negatives, positives = truth.double().unbind(1)
    ratios = torch.where((positives > 0) & (negatives > 0), negatives / positives.clamp(min=1), 1.0)
    return ratios.clamp(1 / LARGEST_WEIGHT, LARGEST_WEIGHT).float()


def effective_number(counts: Tensor, beta: float | None = None) -> Tensor:
    """Return the effective number of n overlapping samples, (1 - beta^n) / (1 - beta).

    With beta = 1 - 1/N it grows like n and saturates at N, the number of distinct samples. The paper's 0.9 to 0.9999
    suit counts of images; with millions of highly correlated pixels, every class would saturate, with equal weights.
    By default N is the mean count: classes much rarer than the average are weighted by inverse frequency, frequent
    ones less so, independently of the resolution.

    Args:
        counts: int64 `(K,)`, each > 0.
        beta: Value in [0, 1), or None for 1 - 1 / mean(counts).

    Returns:
        float64 `(K,)`, in [1, min(n, N)].

    Source: Cui et al. 2019, arXiv:1901.05555, proposition 1 and section 4; the weights are its inverse.
    """
    exact = counts.cpu().double()
    different = exact.mean() if beta is None else torch.tensor(1 / (1 - beta), dtype=torch.float64)
    # 1 - beta^n without the rounding of beta^n to 1
    return -torch.expm1(exact * torch.log1p(-1 / different)) * different


def class_prior(counts: Tensor) -> Tensor:
    """Return the share of each class; a class that does not occur has the count of the rarest other one.

    Args:
        counts: Pixels (or samples) of each class in the training split, int64 `(C,)`.

    Returns:
        float64 `(C,)`, each > 0, so that its logarithm is finite; sums to 1.

    Raises:
        ConfigError: If all counts are 0.
    """
    is_present = counts > 0
    if not is_present.any():
        raise ConfigError("class shares need a training split in which a class occurs; every count is 0")
    filled = counts.where(is_present, counts[is_present].min()).cpu().double()
    return filled / filled.sum()


def label_prior(truth: Tensor) -> Tensor:
    """Return the share of the valid pixels (or samples) that have each class; a class without positives has one.

    Args:
        truth: Pixels (or samples) without and with each class in the training split, int64 `(C, 2)`.

    Returns:
        float64 `(C,)`, each > 0.
    """
    negatives, positives = truth.cpu().double().unbind(1)
    positives = positives.clamp(min=1)
    return positives / (negatives + positives)


def last_bias(net: nn.Module, classes: int) -> Tensor:
    """Return the bias `(C,)` of the net's last linear or convolution layer that has an output for each class.

    Raises:
        ConfigError: If there is no such layer, or it has no bias.
    """
    name = type(net).__name__
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    biases = [layer.bias for layer in layers if _outputs(layer) == classes]
    if not biases:
        raise ConfigError(
            f"model.prior_bias: {name} has no nn.Linear or nn.Conv2d of {classes} outputs, one per class, to end with; "
            "leave it out"
        )
    if biases[-1] is None:
        raise ConfigError(f"model.prior_bias: the last layer of {name} has no bias; give it one, or leave it out")
    return biases[-1]


@torch.no_grad()
def set_prior_bias(net: nn.Module, prior: Tensor, sigmoid: bool) -> None:
    """Initialize the last bias, so that the untrained net predicts each class with the probability of its share.

    Args:
        net: The net; its `last_bias` becomes log(p), or log(p / (1 - p)) with sigmoids.
        prior: p, as returned by `class_prior`.
        sigmoid: Whether the loss has a sigmoid per class instead of a softmax.

    Source: Lin et al. 2017, arXiv:1708.02002, sections 3.3 and 4.1, with p = 0.01 for all classes.
    """
    # the share of a single class is 1, with an infinite logit
    last_bias(net, len(prior)).copy_(torch.logit(prior, eps=1e-9) if sigmoid else prior.log())


def _outputs(layer: nn.Linear | nn.Conv2d) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


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


def _checked(weights: Sequence[float], classes: int, option: str) -> Tensor:
    name = option.replace("_", " ")
    if len(weights) != classes:
        raise ConfigError(f"{len(weights)} {name} for {classes} classes: give one for each, in the classes' order")
    values = torch.tensor(weights, dtype=torch.float32)
    if not (values.isfinite() & (values >= 0)).all() or not values.any():
        raise ConfigError(f"{name} must be finite, at least 0 and not all 0, not {list(weights)}")
    outside = values[(values > 0) & ((values < 1 / LARGEST_WEIGHT) | (values > LARGEST_WEIGHT))]
    if len(outside):
        raise ConfigError(
            f"model.{option}: must be 0, or between {1 / LARGEST_WEIGHT:g} and {LARGEST_WEIGHT:g}, beyond which "
            f"float32 has no room for the loss, got {outside[0]:g}"
        )
    return values
