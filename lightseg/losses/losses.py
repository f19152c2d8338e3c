"""Losses by name.

To add a loss, subclass `PixelLoss`, `ClassLoss` or `LabelLoss` (see `lightseg.losses.base`) and add a line to `LOSSES`
or, for classes that may overlap, `MULTILABEL_LOSSES`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightseg.errors import require
from lightseg.losses.base import (
    ClassLoss,
    LabelLoss,
    MaskedLoss,
    PixelLoss,
    one_hot,
    over_processes,
    ratio,
    weighted_mean,
)


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
    hit_gain, miss_gain = 1 / union.to(error.dtype), intersection.to(error.dtype) / (union * (union - 1)).clamp(min=1)
    gain[order] = torch.where(hit, hit_gain, miss_gain)
    return gain
