"""Tasks whose classes may overlap: each is there or not, by its own threshold; binary ones have a single class."""

from abc import ABC
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lightseg.errors import UserError, require
from lightseg.inference.predictor import ClassMap
from lightseg.losses.class_weights import PositiveWeightScheme
from lightseg.metrics.confusion_matrix import PerImageCounts
from lightseg.metrics.label_histogram import (
    LabelHistogram,
    PerImageLabelCounts,
    average_precision,
    confusion_at,
    confusion_to_label_counts,
    exact_match,
    fit_thresholds,
    roc_auc,
    round_threshold,
)
from lightseg.metrics.scores import ScoreKind, mean, multilabel_scores
from lightseg.nets import Net
from lightseg.tasks.base import Task
from lightseg.tasks.classification import ClassificationTask
from lightseg.tasks.scored_task import Stage
from lightseg.tasks.segmentation import SegmentationTask


class MultilabelTask(Task, ABC):
    """Base class of tasks whose classes may overlap: the net has one logit for each, whose sigmoid is its probability.

    Args:
        net: As in `Task`.
        classes: As in `Task`.
        loss: One loss by name (bce, focal, dice, jaccard, tversky), several with their coefficients,
            `{bce: 1.0, dice: 0.5}`, or with arguments, `{focal: {weight: 1.0, gamma: 1.5}}`.
        positive_weights: Weights of the positives of the classes in bce and focal, relative to the negatives:
            `balanced`, so that both have the same total weight in the training split, or one number per class.
        thresholds: Least probability of a class that is predicted: `fit`, with the highest F1 in each validation, 0.5
            before the first, stored in the checkpoint; or a number, or one per class, rounded to multiples of 1/1024.
        **kwargs: The other options of `Task`. `logit_adjustment` has no meaning here.
    """

    multilabel = True
    thresholds: Tensor

    def __init__(
        self,
        net: Net | nn.Module,
        classes: list[str],
        loss: str | dict[str, float | dict[str, float | bool | str]] = "bce",
        positive_weights: PositiveWeightScheme | list[float] | None = None,
        thresholds: Literal["fit"] | float | list[float] = "fit",
        **kwargs: Any,
    ) -> None:
        super().__init__(net, classes, loss, **kwargs)
        if positive_weights is not None:
            self.loss.weigh_positives(positive_weights)
        self.fits_thresholds = thresholds == "fit"
        self.register_buffer("thresholds", torch.full((len(classes),), 0.5), persistent=False)
        if not isinstance(thresholds, str):
            self.set_thresholds(thresholds)

    @property
    def score_kind(self) -> ScoreKind:
        """Return the kind of the scores (`METRICS`)."""
        return "multilabel_segmentation" if self.kind == "segmentation" else "multilabel_classification"

    def set_thresholds(
        self, thresholds: float | list[float], option: str = "model.thresholds", temperature: float = 1.0
    ) -> None:
        """Set the least probability of each class that is predicted, rounded to a multiple of 1/1024.

        Args:
            thresholds: One for all classes, or one for each.
            option: Name of the option, for messages.
            temperature: Temperature of the probabilities that the thresholds are of. With another than 1 they are not
                rounded, which is for predictions alone, since evaluations count by multiples of 1/1024.

        Raises:
            ConfigError: If there is not one for each class, or one is not in 0 to 1.
        """
        values = list(thresholds) if isinstance(thresholds, list) else [thresholds] * len(self.classes)
        require(
            len(values) == len(self.classes),
            f"{option}: {len(values)} thresholds for {len(self.classes)} classes; give one for each, or one for all",
        )
        for value in values:
            require(0 < value < 1, f"{option}: must be a probability, above 0 and below 1, got {value}")
        if temperature == 1:
            values = [round_threshold(value) for value in values]
        else:
            logits = temperature * torch.tensor(values, dtype=torch.float64).logit()
            # a probability of 1 would never be reached, since float32 rounds to it from below, too
            values = logits.sigmoid().clamp(max=1 - 2**-24).tolist()
        # in place, since a tensor that is created in a validation cannot be changed in training, as averages do
        self.thresholds.copy_(torch.tensor(values))

    def thresholds_at(self, temperature: float) -> list[float]:
        """Return the thresholds as probabilities at a temperature; they themselves are those at a temperature of 1."""
        thresholds = self.thresholds
        if temperature != 1:
            thresholds = (thresholds.double().logit() / temperature).sigmoid()
        return [float(threshold) for threshold in thresholds]

    def probabilities(self, logits: Tensor, axis: int = 1) -> Tensor:  # noqa: ARG002
        """Return the probability of each class, float of the shape of the logits."""
        return logits.sigmoid()

    def decide(self, logits: Tensor) -> Tensor:
        """Return which classes are predicted, `(N, K, ...)` uint8 of 0 and 1, from logits of this shape."""
        thresholds = self.thresholds.view(-1, *[1] * (logits.ndim - 2))
        return (logits.sigmoid() >= thresholds).to(torch.uint8)

    def decide_block(self, block: Tensor) -> ClassMap:
        """Return the prediction `(K, h, w)` uint8 of 0 and 1 of the logits of a part of an image, on the CPU."""
        part: ClassMap = self.decide(block[None])[0].cpu().numpy()
        return part

    def make_counts(self) -> Metric:
        """Return an empty `LabelHistogram`, from which `scores` follow."""
        return LabelHistogram(len(self.classes))

    def count_classes(self, counts: Tensor) -> Tensor:
        """Return true-positive, target and prediction pixels of each class, int64 `(3, C)`, at the thresholds."""
        confusion = confusion_at(counts.cpu().numpy(), self.thresholds.tolist())
        return torch.from_numpy(confusion_to_label_counts(confusion))

    def scores(self, counts: Tensor) -> dict[str, float]:
        """Return F1 (or IoU), precision and recall at the thresholds, average precision and area under ROC curves."""
        histogram = counts.cpu().numpy()
        scores = multilabel_scores(self.count_classes(counts).numpy(), self.classes, self.score_kind)
        rankings = {"average_precision": average_precision(histogram), "roc_auc": roc_auc(histogram)}
        scores |= {name: float(mean(values, 0)) for name, values in rankings.items()}
        for name, values in rankings.items():
            scores |= {f"{name}/{label}": value for label, value in zip(self.classes, values.tolist(), strict=True)}
        return scores

    @property
    def resolved(self) -> dict[str, Any]:
        """Return the options that were set from the data."""
        return {**super().resolved, "thresholds": self.thresholds.tolist()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the thresholds of the checkpoint of a training that is resumed."""
        super().on_load_checkpoint(checkpoint)
        if self.fits_thresholds:
            self.set_thresholds(checkpoint["lightseg"]["resolved"]["thresholds"])

    def _make_image_counts(self) -> PerImageCounts:
        return PerImageLabelCounts(len(self.classes))

    def _update_counts(self, counts: Metric, logits: Tensor, prediction: Tensor, target: Tensor) -> None:  # noqa: ARG002
        counts.update(logits.sigmoid(), target)

    def _adapt_to_counts(self, counts: Tensor) -> None:
        if self.fits_thresholds:
            self.set_thresholds(fit_thresholds(np.asarray(counts)))


class MultilabelClassificationTask(MultilabelTask, ClassificationTask):
    """Task with any number of classes per image; the score is the mean F1 of the classes.

    The options are those of `MultilabelTask`.
    """

    def split_scores(self, stage: Stage) -> dict[str, float]:
        """Return all metrics of a split from its last scoring; outside of training, also the exact match."""
        scores = super().split_scores(stage)
        return scores | ({"exact_match": exact_match(self.image_counts[stage])} if self._is_scored else {})


class MultilabelSegmentationTask(MultilabelTask, SegmentationTask):
    """Task with any number of classes per pixel; the score is the mean IoU of the classes.

    The options are those of `MultilabelTask`.
    """


class BinaryClassificationTask(MultilabelClassificationTask):
    """Task with one class, which an image has or not. The options are those of `MultilabelTask`."""

    def __init__(self, net: Net | nn.Module, classes: list[str], **kwargs: Any) -> None:
        _require_one(type(self).__name__, classes)
        super().__init__(net, classes, **kwargs)


class BinarySegmentationTask(MultilabelSegmentationTask):
    """Task with one class, which a pixel has or not. The options are those of `MultilabelTask`."""

    def __init__(self, net: Net | nn.Module, classes: list[str], **kwargs: Any) -> None:
        _require_one(type(self).__name__, classes)
        super().__init__(net, classes, **kwargs)


def _require_one(name: str, classes: list[str]) -> None:
    require(
        len(classes) == 1,
        f"{name} has one class, and the data has {len(classes)}; take {name.replace('Binary', 'Multilabel')}",
    )


def parse_thresholds(task: Task, option: str, temperature: float) -> None:
    """Set the thresholds of a task whose classes may overlap to those of `--threshold`.

    Args:
        task: The task.
        option: One probability, or one for each class: `0.3,0.5`.
        temperature: Temperature of these probabilities.

    Raises:
        UserError: If the classes exclude each other, or these are no thresholds.
    """
    if not isinstance(task, MultilabelTask):
        raise UserError("--threshold: the classes of this model exclude each other, so that the likeliest is predicted")
    try:
        values = [float(value) for value in option.split(",")]
    except ValueError:
        raise UserError(f"--threshold {option}: is no number; give 0.3, or one for each class: 0.3,0.5") from None
    task.set_thresholds(values[0] if len(values) == 1 else values, "--threshold", temperature)
