"""Loss of a task with its options against class imbalance: weights, logit adjustment, prior bias."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightseg.data.data_module import ImageDataModule
from lightseg.errors import ConfigError, require
from lightseg.losses.base import LabelLoss, upcast
from lightseg.losses.class_weights import (
    PositiveWeightScheme,
    WeightScheme,
    class_prior,
    class_weights,
    label_prior,
    positive_weights,
    set_prior_bias,
)
from lightseg.losses.custom import BatchLoss
from lightseg.losses.losses import MULTILABEL_LOSSES
from lightseg.losses.weighted_sum import LossSpec, build_loss

_SIGMOID = {"sigmoid_focal"}
"""Losses with a sigmoid per class instead of a softmax."""


class TaskLoss(nn.Module):
    """Loss of a task in training, with options against class imbalance, and in evaluation.

    In training, class weights apply from `weights_from` on, and the logits are adjusted: the loss is that of
    `logits + tau * log(prior)`, where the prior is each class's share of the training split. The net then learns as for
    class shares of prior^(1 - tau), which are equal for a tau of 1. For a smaller tau, weights of prior^(tau - 1)
    compensate the rest (theorem 1 of the source).

    In evaluation, the weights always apply and the logits are never adjusted, so that losses are comparable from the
    first validation to the test.

    Args:
        spec: The losses; see `build_loss`.
        classes: Number of classes, C.
        weighting: Scheme of `class_weights`, C weights, or None.
        weights_from: Share of the training, in [0, 1), before which all weights are 1.
        logit_adjustment: tau, >= 0.
        prior_bias: Whether the untrained net is initialized to predict the prior.
        multilabel: Whether classes may overlap.

    Raises:
        ConfigError: If an option is out of range, has no effect, or contradicts another.

    Source: logit adjustment is Menon et al. 2021, arXiv:2007.07314, eq. 10; with cross-entropy and a tau of 1 it is the
    balanced softmax, Ren et al. 2020, arXiv:2007.10740, eq. 4. Deferred weights are Cao et al. 2019, arXiv:1906.07413,
    algorithm 1.
    """

    adjustment: Tensor | None

    def __init__(
        self,
        spec: LossSpec,
        classes: int,
        weighting: WeightScheme | Sequence[float] | None = None,
        weights_from: float = 0.0,
        logit_adjustment: float = 0.0,
        prior_bias: bool = False,
        multilabel: bool = False,
    ) -> None:
        super().__init__()
        self.spec, self.weighting, self.weights_from = spec, weighting, weights_from
        self.tau, self.prior_bias = logit_adjustment, prior_bias
        self.classes, self.multilabel = classes, multilabel
        self.positive_weighting: PositiveWeightScheme | Sequence[float] | None = None
        self.plain = self.weighted = build_loss(spec, None, multilabel)
        self._check()
        self._set_listed_weights()
        self.register_buffer("adjustment", None, persistent=False)

    def weigh_positives(self, weighting: PositiveWeightScheme | Sequence[float]) -> None:
        """Set the weights of the positives of each class, which may overlap.

        Args:
            weighting: Scheme of `positive_weights`, or C weights.

        Raises:
            ConfigError: If no loss has such weights, or a weight is out of range.
        """
        require(
            any(issubclass(MULTILABEL_LOSSES[name], LabelLoss) for name in self.spec),
            f"model.positive_weights: {', '.join(self.spec)} compare whole classes and have none; add bce or focal to "
            "model.loss, or leave them out",
        )
        self.positive_weighting = weighting
        self._set_listed_weights()

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss in evaluation; logits and target as in `MaskedLoss.forward`."""
        loss: Tensor = self.weighted(logits, target)
        return loss

    def check_mixing(self) -> None:
        """Check that the losses have a meaning for images that are mixed of two classes.

        Raises:
            ConfigError: If one has none.
        """
        terms = zip(self.spec, self.plain.terms.values(), strict=True)
        names = [name for name, term in terms if not term.is_additive]
        require(
            not names,
            f"data.mixup and data.cutmix: {', '.join(names)} has no meaning for an image of two classes; set "
            "model.loss to ce, focal, sigmoid_focal or mse, or leave them out",
        )

    def in_training(
        self,
        logits: Tensor,
        target: Tensor,
        progress: float,
        counts: Tensor | None = None,
        partner: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return the loss in training.

        That of mixed images is the sum of the losses for both of their classes, by their shares. Since two images are
        mixed with each other by the same share, the weight of a step is that of its images without mixtures.

        Args:
            logits: As in `MaskedLoss.forward`.
            target: As in `MaskedLoss.forward`.
            progress: Share of the training that is done, in [0, 1].
            counts: Pixels of each class in the step, as in `MaskedLoss.compute`.
            partner: Class ids of the images that are mixed in, `(N,)` int64; None: none are.
            share: Share of `target` in each image, `(N,)` float in 0..1; None with `partner`.

        Raises:
            ConfigError: If an option depends on the data, which has not been set.
        """
        is_unset = any(isinstance(option, str) for option in (self.weighting, self.positive_weighting))
        if is_unset or (self.tau and self.adjustment is None) or self.prior_bias:
            raise ConfigError(
                "model.class_weights, positive_weights, logit_adjustment and prior_bias need class counts: train with "
                "an ImageDataModule (one of your own that has a setup must call super().setup(stage))"
            )
        if self.adjustment is not None:
            logits = upcast(logits) + self.adjustment.reshape(-1, *[1] * (logits.ndim - 2))
        loss_of = self.plain if progress < self.weights_from else self.weighted
        loss: Tensor = loss_of(logits, target, counts, share)
        if partner is not None and share is not None:
            # a training in bfloat16 has rounded the share, and would round the rest once more
            loss = loss + loss_of(logits, partner, counts, 1 - upcast(share))
        return loss

    def configure_from_data(
        self, data: ImageDataModule, kind: Literal["segmentation", "classification"], net: nn.Module | None
    ) -> None:
        """Set weights, prior and prior bias from the class counts of the training split.

        Args:
            data: The data; its counts are read only if needed, since an evaluation may lack the training data.
            kind: Kind of the counts, pixels or images.
            net: The net to train, whose last bias may be initialized; None in evaluation.
        """
        if isinstance(self.weighting, str) or isinstance(self.positive_weighting, str):
            uses_extents = kind == "segmentation" and isinstance(self.weighting, str)
            extents = torch.from_numpy(data.class_extents()) if uses_extents else None
            self._set_weights(torch.from_numpy(data.truth_table().sum(0)), extents)
        if net is not None and (self.tau or self.prior_bias):
            truth = torch.from_numpy(data.truth_table().sum(0))
            prior = label_prior(truth) if self.multilabel else class_prior(truth)
            self.adjustment = (self.tau * prior.log()).float() if self.tau else None
            if self.prior_bias:
                set_prior_bias(net, prior, sigmoid=self.multilabel or self.spec.keys() <= _SIGMOID)
                # only once, since a resumed training has a trained bias
                self.prior_bias = False

    def _set_listed_weights(self) -> None:
        """Build the weighted loss of weights that need no counts."""
        if not isinstance(self.weighting, str) and not isinstance(self.positive_weighting, str):
            self._set_weights(torch.ones(self.classes, 2) if self.multilabel else torch.ones(self.classes), None)

    def _set_weights(self, truth: Tensor, extents: Tensor | None) -> None:
        """Build the weighted loss.

        Args:
            truth: Pixels (or samples) of each class, `(C,)`, or of overlapping classes those without and with it,
                `(C, 2)`.
            extents: As in `class_weights`.
        """
        weight = None
        if self.weighting is not None:
            weight = class_weights(self.weighting, truth[:, 1] if self.multilabel else truth, extents)
            self.weighting = weight.tolist() if isinstance(self.weighting, str) else self.weighting
        if self.multilabel and (weight is not None or self.positive_weighting is not None):
            negative = torch.ones(len(truth)) if weight is None else weight
            positive = torch.ones(len(truth))
            if self.positive_weighting is not None:
                positive = positive_weights(self.positive_weighting, truth)
                is_scheme = isinstance(self.positive_weighting, str)
                self.positive_weighting = positive.tolist() if is_scheme else self.positive_weighting
            weight = torch.stack([negative, negative * positive], 1)
        if weight is not None:
            self.weighted = build_loss(self.spec, weight, self.multilabel)

    @property
    def batch_losses(self) -> list[str]:
        """Import paths of the losses that are normalized by each batch of a process, not by the step."""
        return [term.path for term in self.weighted.terms.values() if isinstance(term, BatchLoss)]

    @property
    def resolved(self) -> dict[str, Any]:
        """Return the options that were set from the data."""
        options: dict[str, Any] = {"class_weights": self.weighting, "prior_bias": False}
        return options | ({"positive_weights": self.positive_weighting} if self.multilabel else {})

    def _check(self) -> None:
        require(
            0 <= self.weights_from < 1,
            f"model.class_weights_from: {self.weights_from} leaves class weights no part of the training; "
            "give a share of it, 0 to below 1",
        )
        require(
            self.weighting is not None or self.multilabel or not self.weights_from,
            "model.class_weights_from: there are no weights to wait for; give model.class_weights, or leave it out",
        )
        require(
            math.isfinite(self.tau) and self.tau >= 0,
            f"model.logit_adjustment: must be 0 or more (1 makes all classes equal), got {self.tau}",
        )
        require(
            not self.tau or not self.multilabel,
            "model.logit_adjustment: shifts classes against each other, and here they may overlap; take "
            "model.positive_weights or model.prior_bias instead",
        )
        require(
            self.weighting is None or not self.multilabel or self.classes > 1,
            "model.class_weights: weigh classes against each other, and there is one; take model.positive_weights",
        )
        names = ", ".join(name for name in self.spec if name in _SIGMOID)
        require(
            not self.tau or not names,
            f"model.logit_adjustment: {names} has no softmax to adjust; take another loss, or model.prior_bias instead",
        )
        require(
            not self.tau or not self.prior_bias,
            "model.prior_bias: with model.logit_adjustment training starts at the classes' shares already, and a bias "
            "that adds them again would undo it; leave one of the two out",
        )
