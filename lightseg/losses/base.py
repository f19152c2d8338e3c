"""Base classes of losses: ignored pixels and weighted means.

Every loss is called as `loss(logits, target)` and returns a scalar, float32 or, of float64 logits, float64:

* logits `(N, C, ...)`, any float dtype (`(N, C)` in classification); 16 bits are taken to float32 outside autocast,
  because a sum over a 512 x 512 mask overflows in them;
* target `(N, ...)` int64, class ids in [0, C) or `IGNORE`. Ignored pixels have no influence and a gradient of exactly
  0; a batch of ignored pixels alone has loss 0;
* or, for classes that may overlap, target `(N, C, ...)` of any integer type, 0, 1 or `IGNORE` for each class: the
  probability of a class is then its sigmoid instead of the softmax, and each class has void pixels of its own.

In training, the losses are normalized over the optimizer step, with all processes and accumulated batches, so that the
gradient is that of one large batch:

* pixel losses divide by the weight of the step instead of that of the batch; exact for processes and accumulation;
* class losses that are a ratio of sums over the batch (Dice, Jaccard, Tversky) add the sums of all processes; exact for
  processes, while each accumulated batch has a separate ratio;
* Lovász and hard example mining rank the pixels of a batch, and are averaged over the batches.

Class weights always make a *weighted mean*: a pixel loss weighs every pixel by the weight of its target, a class loss
weighs every class that is present. So their scale does not matter, only their ratios.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, distributed, nn

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE


class MaskedLoss(nn.Module, ABC):
    """Base class of losses over valid pixels; subclasses implement `compute`.

    Args:
        weight: Class weights, float `(C,)`, or what else a subclass states, or None; a buffer that is not in the state
            dict.

    Attributes:
        is_additive: Whether the loss is a sum over the pixels, each by its weight, so that it has a meaning for images
            that are mixed of two classes.
    """

    is_additive: ClassVar[bool] = False
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", None if weight is None else weight.detach().float(), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch.

        Args:
            logits: `(N, C, ...)`, any float dtype.
            target: `(N, ...)` int64, in [0, C) or `IGNORE`; or `(N, C, ...)`, 0, 1 or `IGNORE`.

        Raises:
            ValueError: See `masked`; or if the number of weights is not C.
        """
        if self.weight is not None and len(self.weight) != logits.shape[1]:
            raise ValueError(f"{len(self.weight)} class weights do not fit logits of {logits.shape[1]} classes")
        with torch.autocast(logits.device.type, enabled=False):
            return self.compute(*masked(logits, target))

    @abstractmethod
    def compute(self, logits: Tensor, target: Tensor, valid: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the scalar loss.

        Args:
            logits: `(N, C, P)` float32 or float64, 0 where not valid.
            target: `(N, P)` int64 in [0, C), 0 where not valid; or `(N, C, P)`, 0 or 1.
            valid: `(N, P)` bool; or `(N, C, P)`. If additive, also the share of the target in each pixel, `(N, P)`
                float in 0..1, 0 where not valid.
            counts: In training, the pixels of each class in the step, averaged over its batches and processes,
                float `(C,)`, or of overlapping classes those without and with each class, `(C, 2)`; None: the loss is
                that of the batch alone.
        """


class PixelLoss(MaskedLoss):
    """Mean over the valid pixels (or samples), weighted by target class; subclasses implement `per_pixel`."""

    is_additive = True

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `MaskedLoss.compute`."""
        weight = self.pixel_weight(target, valid)
        total = weight.sum() if counts is None else self.step_weight(counts)
        return ratio((_shaped(self, self.per_pixel(logits, target), target.shape) * weight).sum(), total)

    def pixel_weight(self, target: Tensor, valid: Tensor) -> Tensor:
        """Return the weight of each pixel, `(N, P)` float: 0 where not valid, else its target's class weight, or 1."""
        return valid.float() if self.weight is None else valid * self.weight[target]

    def step_weight(self, counts: Tensor) -> Tensor:
        """Return the divisor of the sum over a batch's pixels in training: its share of the step's weight."""
        return counts.sum() if self.weight is None else (counts * self.weight).sum()

    @abstractmethod
    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each pixel, `(N, P)` float, from logits `(N, C, P)` and target `(N, P)`."""


class LabelLoss(MaskedLoss):
    """Mean over the valid pixels (or samples) of all classes, which may overlap; subclasses implement `per_label`.

    Args:
        weight: Weights of the pixels without and with each class, float `(C, 2)`, or None.
    """

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `MaskedLoss.compute`."""
        weights = valid.to(logits.dtype)
        if self.weight is not None:
            negative, positive = self.weight.to(logits.dtype).unsqueeze(-1).unbind(1)
            weights = weights * torch.where(target == 1, positive, negative)
        total = weights.sum() if counts is None else (counts if self.weight is None else counts * self.weight).sum()
        return ratio(
            (_shaped(self, self.per_label(logits, target.to(logits.dtype)), target.shape) * weights).sum(), total
        )

    @abstractmethod
    def per_label(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of each class and pixel, `(N, C, P)` float, from logits and truth (0 or 1) of this shape."""


class ClassLoss(MaskedLoss):
    """Mean over the classes among the batch's valid targets, weighted by class; subclasses implement `per_class`.

    Absent classes are excluded: they can only be predicted wrongly, and their constant loss would change the scale from
    batch to batch.
    """

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `MaskedLoss.compute`."""
        if target.ndim == logits.ndim:
            truth, probability = target == 1, logits.sigmoid() * valid
        else:
            truth = one_hot(target, logits.shape[1]) & valid.unsqueeze(1)
            probability = logits.softmax(1) * valid.unsqueeze(1)
        loss, size = self.per_class(probability, truth, together=counts is not None)
        loss, size = (_shaped(self, values, logits.shape[1:2]) for values in (loss, size))
        present = (size > 0).float()
        return weighted_mean(loss, present if self.weight is None else present * self.weight)

    @abstractmethod
    def per_class(self, probability: Tensor, truth: Tensor, together: bool) -> tuple[Tensor, Tensor]:
        """Return the loss of each class, finite, and its pixels in the truth; both `(C,)` float.

        Args:
            probability: `(N, C, P)` float32 or float64 in [0, 1], 0 where not valid.
            truth: `(N, C, P)` bool, False where not valid; one-hot unless classes may overlap.
            together: Whether all processes call this for the step, so that sums can be added over them.
        """


def masked(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, target and valid mask for `MaskedLoss.compute`, from the arguments of `MaskedLoss.forward`.

    Raises:
        ValueError: If the shapes do not match, or a target is out of range (checked on the CPU only; on an accelerator
            the check would synchronize).
    """
    _check_shapes(logits, target)
    overlap = target.ndim == logits.ndim
    valid, logits = target != IGNORE, upcast(logits)
    if not _is_on_host(target) or not _is_all_valid(target, 2 if overlap else logits.shape[1]):
        # filled before the computation, since inf times a mask of 0 is NaN
        logits = logits.masked_fill(~valid if overlap else ~valid.unsqueeze(1), 0.0)
        target = target.masked_fill(~valid, 0)
    if logits.ndim == 2:
        return logits.unsqueeze(2), target.unsqueeze(-1), valid.unsqueeze(-1)
    pixels = 2 if overlap else 1
    return logits.flatten(2), target.flatten(pixels), valid.flatten(pixels)


def upcast(values: Tensor) -> Tensor:
    """Return floats of any shape as float32; float64 is kept."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Return `(N, C, P)` bool from a target `(N, P)` in [0, C)."""
    return target.unsqueeze(1) == torch.arange(classes, device=target.device).unsqueeze(1)


class _Sum(torch.autograd.Function):
    """Differentiable sum over processes."""

    @staticmethod
    def forward(_ctx: object, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def over_processes(values: Tensor) -> Tensor:
    """Sum values of any shape over the training processes; with DDP's mean, the gradient is that of one batch.

    Lightning's `strategy.reduce` would synchronize hosts and devices first.
    """
    return _Sum.apply(values) if distributed.is_available() and distributed.is_initialized() else values


def ratio(total: Tensor, weight: Tensor) -> Tensor:
    """Return `total / weight`, or `total` where the weight is 0: the mean over nothing is 0, not NaN."""
    # adds 1 where the weight is 0
    return total / (weight + (weight == 0))


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the scalar mean of finite `values` with `weight` >= 0 of the same shape; 0 if all weights are 0."""
    return ratio((values * weight).sum(), weight.sum())


def _shaped(loss: MaskedLoss, values: Tensor, shape: torch.Size) -> Tensor:
    """Return what a subclass has computed, after a check of its shape, which might broadcast.

    Raises:
        ConfigError: If it has another shape.
    """
    if values.shape != shape:
        expected, name = list(shape), type(loss).__name__
        raise ConfigError(
            f"model.loss: {name} computes values of the shape {list(values.shape)} instead of {expected}; return one "
            "for each pixel (PixelLoss), each class and pixel (LabelLoss) or each class (ClassLoss)"
        )
    return values


def _is_on_host(target: Tensor) -> bool:
    """Return whether values of a target can be read without a synchronization of the device."""
    return target.device.type == "cpu"


def _check_shapes(logits: Tensor, target: Tensor) -> None:
    classes = logits.shape[1]
    if target.shape not in (logits.shape[:1] + logits.shape[2:], logits.shape):
        raise ValueError(
            f"logits (N, C, ...) of {tuple(logits.shape)} do not fit a target (N, ...) of {tuple(target.shape)}"
        )
    if classes > IGNORE:
        raise ValueError(f"{classes} classes: class {IGNORE} would be taken for void; at most {IGNORE} are possible")


def _is_all_valid(target: Tensor, classes: int) -> bool:
    """Return whether a target on the CPU has no ignored value.

    Raises:
        ValueError: If it has a value that is neither a class id nor `IGNORE`.
    """
    if not target.numel():
        return True
    lowest, highest = map(int, target.aminmax())
    if lowest >= 0 and highest < classes:
        return True
    outside = target[((target < 0) | (target >= classes)) & (target != IGNORE)].unique().tolist()
    if outside:
        raise ValueError(f"targets {outside} are neither a class id in [0, {classes}) nor {IGNORE} (ignore)")
    return False
