"""Losses by name.

A recipe may also name a class of its own by its import path, `my_loss.MyLoss`: see `lightseg.losses.custom`.

To add a loss, subclass `PixelLoss`, `ClassLoss` or `LabelLoss` (see `lightseg.losses.base`) and add a line to `LOSSES`
or, for classes that may overlap, `MULTILABEL_LOSSES`. A recipe
names losses with coefficients, `{ce: 1.0, dice: 0.5}`, or with arguments,
`{tversky: {weight: 0.5, alpha: 0.2, beta: 0.8}}`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.losses.base import (
    ClassLoss,
    LabelLoss,
    MaskedLoss,
    PixelLoss,
    masked,
    one_hot,
    over_processes,
    ratio,
    weighted_mean,
)
from lightseg.losses.custom import BatchLoss, find_loss

LossSpec = Mapping[str, float | Mapping[str, float | bool | str]]

_LARGEST = 1e6


class CrossEntropy(PixelLoss):
    """Softmax cross-entropy, equal to `torch.nn.CrossEntropyLoss` with the same arguments and `ignore_index=IGNORE`.

    Args:
        weight: Class weights; the sum is divided by the sum of the weights of the valid targets.
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).

    Source: label smoothing is Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    def __init__(self, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(weight)
        require(0 <= label_smoothing < 1, f"label_smoothing must be in [0, 1), not {label_smoothing}")
        self.label_smoothing = label_smoothing

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `MaskedLoss.compute`."""
        # not `per_pixel` times weight: torch weights the smoothing term by each class, not by the target
        weight = None if self.weight is None else self.weight.to(logits.dtype)
        loss = F.cross_entropy(logits, target, weight, reduction="none", label_smoothing=self.label_smoothing)
        total = self.pixel_weight(target, valid).sum() if counts is None else self.step_weight(counts)
        return ratio((loss * valid).sum(), total)

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """See `PixelLoss.per_pixel`; without weights."""
        return F.cross_entropy(logits, target, reduction="none", label_smoothing=self.label_smoothing)


class Focal(PixelLoss):
    """Focal loss on the softmax, `(1 - p)^gamma * -log p` of the true class; `gamma` 0 is cross-entropy.

    Source: Lin et al. 2017, arXiv:1708.02002, eq. 4.
    """

    def __init__(self, weight: Tensor | None = None, gamma: float = 2.0) -> None:
        super().__init__(weight)
        require(gamma >= 0, f"gamma must be at least 0, not {gamma}")
        self.gamma = gamma

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """See `PixelLoss.per_pixel`."""
        return _focus(F.cross_entropy(logits, target, reduction="none"), self.gamma)


class SigmoidFocal(PixelLoss):
    """Focal loss, one class against the rest: C independent sigmoids, summed over the classes of a pixel.

    Every valid pixel has one positive, so the mean over pixels is the paper's division by the number of positives.

    Args:
        weight: Class weights, of the pixel's target.
        gamma: Exponent that reduces the loss of easy pixels, >= 0.
        alpha: Weight of the true class, in [0, 1]; the other classes have `1 - alpha`.

    Source: Lin et al. 2017, arXiv:1708.02002, eq. 5.
    """

    def __init__(self, weight: Tensor | None = None, gamma: float = 2.0, alpha: float = 0.25) -> None:
        super().__init__(weight)
        require(gamma >= 0, f"gamma must be at least 0, not {gamma}")
        require(0 <= alpha <= 1, f"alpha must be in [0, 1], not {alpha}")
        self.gamma, self.alpha = gamma, alpha

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """See `PixelLoss.per_pixel`."""
        truth = one_hot(target, logits.shape[1]).to(logits.dtype)
        loss = _focus(F.binary_cross_entropy_with_logits(logits, truth, reduction="none"), self.gamma)
        return (loss * (truth * self.alpha + (1 - truth) * (1 - self.alpha))).sum(1)


class BinaryCrossEntropy(LabelLoss):
    """Sigmoid cross-entropy of each class, `torch.nn.BCEWithLogitsLoss` over the valid pixels."""

    def per_label(self, logits: Tensor, truth: Tensor) -> Tensor:
        """See `LabelLoss.per_label`."""
        return F.binary_cross_entropy_with_logits(logits, truth, reduction="none")


class BinaryFocal(LabelLoss):
    """Focal loss of each class, `(1 - p)^gamma * -log p` of its presence or absence; `gamma` 0 is `bce`.

    The alpha of the source is a weight of the positives, `model.positive_weights`.

    Source: Lin et al. 2017, arXiv:1708.02002, eq. 4.
    """

    def __init__(self, weight: Tensor | None = None, gamma: float = 2.0) -> None:
        super().__init__(weight)
        require(gamma >= 0, f"gamma must be at least 0, not {gamma}")
        self.gamma = gamma

    def per_label(self, logits: Tensor, truth: Tensor) -> Tensor:
        """See `LabelLoss.per_label`."""
        return _focus(F.binary_cross_entropy_with_logits(logits, truth, reduction="none"), self.gamma)


class MSE(PixelLoss):
    """Squared distance of the probabilities from the one-hot target, summed over classes: the Brier score, in [0, 2].

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", eq. 2.
    """

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """See `PixelLoss.per_pixel`."""
        return (logits.softmax(1) - one_hot(target, logits.shape[1]).float()).square().sum(1)


class OHEMCrossEntropy(CrossEntropy):
    """Cross-entropy over the hard pixels of the batch only (online hard example mining).

    Pixels are hard if the probability of the true class is at most `threshold`; at least the share `min_kept` of the
    valid pixels, and at least one pixel, is kept.

    Args:
        weight: Class weights of the kept pixels; they have no influence on the selection.
        threshold: Probability of the true class, in (0, 1].
        min_kept: Share of the valid pixels, in [0, 1].

    Source: Shrivastava et al. 2016, arXiv:1604.03540; per pixel, with a threshold: Wu et al. 2016, arXiv:1604.04339.
    """

    is_additive = False

    def __init__(self, weight: Tensor | None = None, threshold: float = 0.7, min_kept: float = 0.1) -> None:
        super().__init__(weight)
        require(0 < threshold <= 1, f"threshold must be in (0, 1], not {threshold}")
        require(0 <= min_kept <= 1, f"min_kept is a share of the pixels, in [0, 1], not {min_kept}")
        self.threshold, self.min_kept = threshold, min_kept

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor, counts: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """See `MaskedLoss.compute`; the pixels are selected within the batch."""
        loss = self.per_pixel(logits, target)
        ranked = loss.detach().masked_fill(~valid, -1.0).flatten().sort(descending=True).values
        last = (valid.sum() * self.min_kept).ceil().long() - 1
        # index_select, since indexing by a tensor would synchronize the device
        floor = ranked.index_select(0, last.clamp(min=0).reshape(1)).clamp(max=-math.log(self.threshold))
        return weighted_mean(loss, self.pixel_weight(target, valid) * (loss >= floor))


class Tversky(ClassLoss):
    """Tversky loss: 1 - `(TP + smooth) / (TP + alpha FP + beta FN + smooth)` of soft counts over the batch.

    Args:
        weight: Class weights, of the mean over the present classes.
        alpha: Weight of the false positives, >= 0.
        beta: Weight of the false negatives, >= 0; above `alpha` it favours recall.
        smooth: Pixels added to numerator and denominator, >= 0; reduces the gradient of a class of few pixels.

    Source: Salehi et al. 2017, arXiv:1706.05721, the index T(alpha, beta).
    """

    def __init__(
        self, weight: Tensor | None = None, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0
    ) -> None:
        super().__init__(weight)
        for name, value in (("alpha", alpha), ("beta", beta), ("smooth", smooth)):
            require(value >= 0, f"{name} must be at least 0, not {value}")
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def per_class(self, probability: Tensor, truth: Tensor, together: bool) -> tuple[Tensor, Tensor]:
        """See `ClassLoss.per_class`."""
        sums = torch.stack([part.sum((0, 2)) for part in (probability * truth, probability, truth)])
        hit, predicted, size = over_processes(sums) if together else sums
        false_positive, false_negative = predicted - hit, size - hit
        union = hit + self.alpha * false_positive + self.beta * false_negative
        # 0/0 for an absent class without smoothing; NaN times a weight of 0 is NaN
        return 1 - (hit + self.smooth) / (union + self.smooth).clamp(min=1e-12), size


class Dice(Tversky):
    """Dice loss: 1 - `(2 TP + smooth) / (2 TP + FP + FN + smooth)` of soft counts over the batch.

    Source: Drozdzal et al. 2016, arXiv:1608.04117 (Milletari et al. 2016 square the terms of the denominator).
    """

    def __init__(self, weight: Tensor | None = None, smooth: float = 1.0) -> None:
        super().__init__(weight, alpha=0.5, beta=0.5, smooth=smooth / 2)


class Jaccard(Tversky):
    """Jaccard loss: 1 - `(TP + smooth) / (TP + FP + FN + smooth)` of soft counts over the batch.

    Source: Rahman & Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation".
    """

    def __init__(self, weight: Tensor | None = None, smooth: float = 1.0) -> None:
        super().__init__(weight, alpha=1.0, beta=1.0, smooth=smooth)


class Lovasz(ClassLoss):
    """Lovász-softmax over the batch: the convex extension of one minus the intersection over union, per class.

    Source: Berman et al. 2018, arXiv:1705.08790, definition 2 and algorithm 1; "present" classes only.
    """

    def per_class(self, probability: Tensor, truth: Tensor, together: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See `ClassLoss.per_class`; every process ranks its own pixels."""
        errors = (truth.float() - probability).abs().transpose(0, 1).flatten(1)
        truths = truth.transpose(0, 1).flatten(1)
        # class by class, to hold one index tensor instead of C
        loss = torch.stack([e @ _jaccard_gain(e.detach(), t) for e, t in zip(errors, truths, strict=True)])
        return loss, truth.sum((0, 2)).float()


LOSSES: dict[str, type[MaskedLoss]] = {
    "ce": CrossEntropy,
    "focal": Focal,
    "sigmoid_focal": SigmoidFocal,
    "dice": Dice,
    "jaccard": Jaccard,
    "tversky": Tversky,
    "lovasz": Lovasz,
    "mse": MSE,
    "ohem": OHEMCrossEntropy,
}
"""Losses of classes that exclude each other."""

MULTILABEL_LOSSES: dict[str, type[MaskedLoss]] = {
    "bce": BinaryCrossEntropy,
    "focal": BinaryFocal,
    "dice": Dice,
    "jaccard": Jaccard,
    "tversky": Tversky,
}
"""Losses of classes that may overlap."""

_COUNTERPARTS = {"ce": "bce", "ohem": "focal", "sigmoid_focal": "focal", "lovasz": "jaccard", "mse": "bce", "bce": "ce"}
"""Loss to take instead of one of the other table."""


class WeightedSum(nn.Module):
    """Sum of losses; `terms` maps a name to its coefficient and its loss."""

    def __init__(self, terms: Mapping[str, tuple[float, MaskedLoss]]) -> None:
        super().__init__()
        # a module's name has no dots, which an import path has
        terms = {name.replace(".", "_"): term for name, term in terms.items()}
        self.terms = nn.ModuleDict({name: loss for name, (_, loss) in terms.items()})
        self.coefficients = {name: coefficient for name, (coefficient, _) in terms.items()}

    def forward(
        self, logits: Tensor, target: Tensor, counts: Tensor | None = None, share: Tensor | None = None
    ) -> Tensor:
        """Return the scalar sum.

        Args:
            logits: As in `MaskedLoss.forward`.
            target: As in `MaskedLoss.forward`.
            counts: As in `MaskedLoss.compute`.
            share: Share of the target in each image, `(N,)` float in 0..1, of losses that are additive; None: 1.
        """
        with torch.autocast(logits.device.type, enabled=False):
            # computed once for all terms
            logits, target, valid = masked(logits, target)
            valid = valid if share is None else valid * share.to(logits.dtype).unsqueeze(-1)
            prepared = logits, target, valid
            values = {name: cast(MaskedLoss, loss).compute(*prepared, counts) for name, loss in self.terms.items()}
            # fewer operations: one on a scalar takes as long as one on a small batch, forward and backward
            first, *others = (
                value if self.coefficients[name] == 1 else self.coefficients[name] * value
                for name, value in values.items()
            )
            return sum(others, first)


def build_loss(spec: LossSpec, weight: Tensor | None, multilabel: bool = False) -> WeightedSum:
    """Build the loss of a recipe; without `weight` it is cheap, and used to check a recipe.

    Args:
        spec: Coefficient of each loss by name or import path, or its arguments, of which `weight` is the coefficient
            (default 1).
        weight: Class weights for every term, float `(C,)`; of classes that may overlap, weights of the pixels without
            and with each class, `(C, 2)`, of which a `ClassLoss` takes the former; or None.
        multilabel: Whether classes may overlap.

    Raises:
        ConfigError: If a name or an argument is unknown, a value is not a number or out of range, a coefficient is
            negative, or none is positive.
    """
    losses = MULTILABEL_LOSSES if multilabel else LOSSES
    terms = {name: _term(name, settings, weight, losses) for name, settings in spec.items()}
    if not any(coefficient > 0 for coefficient, _ in terms.values()):
        raise ConfigError(
            f"the loss needs a term with a positive coefficient, such as {{{next(iter(losses))}: 1.0}}; there are "
            f"{', '.join(losses)}"
        )
    return WeightedSum(terms)


def _term(
    name: str,
    spec: float | Mapping[str, float | bool | str],
    weight: Tensor | None,
    losses: Mapping[str, type[MaskedLoss]],
) -> tuple[float, MaskedLoss]:
    is_custom = "." in str(name)
    if not is_custom and name not in losses:
        if name in _COUNTERPARTS:
            classes = "may overlap" if losses is LOSSES else "exclude each other"
            raise ConfigError(f"model.loss: {name} is for classes that {classes}; take {_COUNTERPARTS[name]} here")
        raise ConfigError(f"model.loss: there is no loss {name!r}{did_you_mean(str(name), losses, len(losses))}")
    settings = dict(spec) if isinstance(spec, Mapping) else {"weight": spec}
    kind = find_loss(name) if is_custom else losses[name]
    _require_kind(name, kind, losses)
    parameters = inspect.signature(kind).parameters
    options = list(parameters)
    coefficient = _number(name, "weight", settings.pop("weight", 1.0))
    for key, value in settings.items():
        if key not in options:
            raise ConfigError(f"loss {name} has no {key!r}{did_you_mean(str(key), options, len(options))}")
        if not is_custom:
            _number(name, key, value)
        elif _takes_integers(parameters[key]) and isinstance(value, float) and value.is_integer():
            # the parser turns the numbers of a recipe into floats
            settings[key] = int(value)
    require(coefficient >= 0, f"loss {name}: its coefficient must be at least 0, not {coefficient}")
    require(
        coefficient == 0 or 1 / _LARGEST <= coefficient <= _LARGEST,
        f"model.loss.{name}: the coefficient must be between {1 / _LARGEST:g} and {_LARGEST:g}, beyond which float32 "
        f"has no room for the loss, got {coefficient:g}",
    )
    # the arguments differ between the classes
    make = cast(Callable[..., nn.Module], kind)
    if weight is not None and weight.ndim == 2 and issubclass(kind, ClassLoss):
        weight = weight[:, 0]
    if "weight" in options:
        settings["weight"] = weight  # type: ignore[assignment]
    require(
        weight is None or "weight" in options,
        f"model.class_weights: loss {name} takes none, since its constructor has no `weight`; leave them out",
    )
    module = make(**settings)
    require("training" in vars(module), f"model.loss: {name}: its constructor must call super().__init__() first")
    return coefficient, module if isinstance(module, MaskedLoss) else BatchLoss(module, name)


def _takes_integers(parameter: inspect.Parameter) -> bool:
    return parameter.annotation in (int, "int") or type(parameter.default) is int


def _number(name: str, key: str, value: object) -> float:
    """Return an option of a loss, after a check that it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"loss {name}: {key} must be a number, not {value!r}")
    return float(value)


def _require_kind(name: str, kind: type[nn.Module], losses: Mapping[str, type[MaskedLoss]]) -> None:
    """Check that a loss by its import path is for classes that exclude each other, or for those that may overlap."""
    if losses is LOSSES:
        is_fitting = not issubclass(kind, LabelLoss)
        require(is_fitting, f"model.loss: {name} is for classes that may overlap; take a subclass of PixelLoss")
    else:
        require(
            issubclass(kind, ClassLoss | LabelLoss),
            f"model.loss: {name} is for classes that exclude each other; take a subclass of LabelLoss or ClassLoss",
        )


def _focus(cross_entropy: Tensor, gamma: float) -> Tensor:
    # 1 - p from -log p; the lower bound keeps the gradient of a power below 1 finite at p = 1
    return (-torch.expm1(-cross_entropy)).clamp(min=1e-8) ** gamma * cross_entropy


def _jaccard_gain(error: Tensor, truth: Tensor) -> Tensor:
    """Return the increase of 1 - IoU by each pixel, sorted by decreasing error; `(M,)` float.

    The differences are in closed form of integers, since the differences of neighbors in algorithm 1 lose most digits
    in float32 from about 100,000 pixels on.
    """
    order = error.argsort(descending=True)
    hit = truth[order]
    positives = hit.sum()
    intersection = positives - hit.cumsum(0)
    union = positives + (~hit).cumsum(0)
    gain = torch.empty_like(error)
    more, less = 1 / union.to(error.dtype), intersection.to(error.dtype) / (union * (union - 1)).clamp(min=1)
    gain[order] = torch.where(hit, more, less)
    return gain
