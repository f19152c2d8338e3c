"""Knowledge distillation: the loss of a net that imitates a trained one."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightseg.errors import require
from lightseg.losses.base import masked, ratio

_LOWEST, _HIGHEST = 0.1, 100.0
"""Limits of the temperature, beyond which float32 has no room for its square times the divergence."""


class Distillation:
    """Loss of a net that imitates a teacher: `(1 - weight) * loss + weight * T^2 * KL(teacher || net)`.

    Both probabilities are those of logits divided by the temperature T; the factor T^2 keeps the gradient at the scale
    of the loss, since that of the divergence decreases with 1 / T^2. The divergence is the mean over the valid pixels
    (or samples), whatever the class weights; of classes that may overlap, that of the sigmoid of each class, over the
    valid pixels of all classes. In training it is divided as a pixel loss is (`lightseg.losses.base`), so that the
    gradient does not depend on how a batch is shared.

    Args:
        temperature: T, 0.1 to 100.
        weight: Weight of the divergence, above 0 to 1.

    Raises:
        ConfigError: If one of them is out of range.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2; the cross-entropy with the teacher, which it has instead of
    the divergence, has the same gradient.
    """

    def __init__(self, temperature: float = 2.0, weight: float = 0.5) -> None:
        require(
            math.isfinite(temperature) and _LOWEST <= temperature <= _HIGHEST,
            f"model.teacher_temperature: must be {_LOWEST:g} to {_HIGHEST:g}, got {temperature:g}",
        )
        require(
            math.isfinite(weight) and 0 < weight <= 1,
            f"model.teacher_weight: must be above 0 (the loss alone) and at most 1 (the teacher alone), got {weight:g}",
        )
        self.temperature, self.weight = temperature, weight

    def __str__(self) -> str:
        """Return the options for the start line of a run."""
        return f"temperature {self.temperature:g}, weight {self.weight:g}"

    def __call__(
        self, loss: Tensor, logits: Tensor, teacher_logits: Tensor, target: Tensor, counts: Tensor | None = None
    ) -> Tensor:
        """Return the scalar loss.

        Args:
            loss: The loss of the net without the teacher.
            logits: As in `MaskedLoss.forward`.
            teacher_logits: Logits of the teacher, of the same shape, without gradients.
            target: As in `MaskedLoss.forward`; only its void is used.
            counts: As in `MaskedLoss.compute`.
        """
        with torch.autocast(logits.device.type, enabled=False):
            net, _, valid = masked(logits, target)
            teacher, _, _ = masked(teacher_logits, target)
            divergence = sigmoid_divergence if valid.ndim == net.ndim else softmax_divergence
            values = divergence(teacher / self.temperature, net / self.temperature)
            mean = ratio((values * valid).sum(), valid.sum() if counts is None else counts.sum())
            return (1 - self.weight) * loss + self.weight * self.temperature**2 * mean


def softmax_divergence(teacher: Tensor, net: Tensor) -> Tensor:
    """Return KL(teacher || net) of the softmax of each pixel, `(N, P)`, from logits `(N, C, P)`."""
    return F.kl_div(net.log_softmax(1), teacher.log_softmax(1), reduction="none", log_target=True).sum(1)


def sigmoid_divergence(teacher: Tensor, net: Tensor) -> Tensor:
    """Return KL(teacher || net) of the sigmoid of each class and pixel, `(N, C, P)`, from logits of this shape."""
    presence = F.kl_div(F.logsigmoid(net), F.logsigmoid(teacher), reduction="none", log_target=True)
    absence = F.kl_div(F.logsigmoid(-net), F.logsigmoid(-teacher), reduction="none", log_target=True)
    return presence + absence
