"""Scoring of a task: the counts of its predictions on val and test, and the metrics that follow from them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from lightseg.data.types import Batch
from lightseg.distributed.strategies import pad_forward_passes
from lightseg.inference.predictor import Predictor
from lightseg.labels import IGNORE
from lightseg.losses.task_loss import TaskLoss
from lightseg.metrics.confusion_matrix import ConfusionMatrix, PerImageCounts
from lightseg.metrics.scores import ScoreKind, confusion_to_counts

Stage = Literal["val", "test"]


class ScoredTask(Predictor, ABC):
    """Task that is scored on val and test: its predictions are counted, and metrics follow from the counts.

    Args:
        classes: Class names.

    Attributes:
        loss: The loss, whose mean per image is logged.
    """

    loss: TaskLoss

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = list(classes)
        self.val_counts, self.test_counts = self.make_counts(), self.make_counts()
        self.val_loss, self.test_loss = MeanMetric("disable"), MeanMetric("disable")
        self.per_image = self._make_image_counts()
        self.extra_metrics = nn.ModuleDict()
        """Additional metrics of `evaluate` and `explain`, updated with logits, target and index of each batch."""
        self.counts: dict[Stage, Tensor] = {}
        """Result of `make_counts` of each split from its last scoring: its confusion matrix `(C, C)`."""
        self.image_counts: dict[Stage, Tensor] = {}
        """`PerImageCounts.compute` of each split; only outside of training."""

    @abstractmethod
    def scores(self, counts: Tensor) -> dict[str, float]:
        """Return all metrics of the result of `make_counts` by name; `score` is the one to maximize."""

    @property
    def score_kind(self) -> ScoreKind:
        """Return the kind of the scores (`METRICS`)."""
        return self.kind

    def make_counts(self) -> Metric:
        """Return an empty metric from whose result `scores` follow, updated with predictions and targets."""
        return ConfusionMatrix(len(self.classes))

    def count_classes(self, counts: Tensor) -> Tensor:
        """Return true-positive, target and prediction pixels of each class, int64 `(3, C)`, of `make_counts`."""
        return torch.from_numpy(confusion_to_counts(counts.cpu().numpy()))

    def split_scores(self, stage: Stage) -> dict[str, float]:
        """Return all metrics of a split from its last scoring."""
        return self.scores(self.counts[stage])

    def _make_image_counts(self) -> PerImageCounts:
        return PerImageCounts(len(self.classes))

    def _update_counts(self, counts: Metric, logits: Tensor, prediction: Tensor, target: Tensor) -> None:  # noqa: ARG002
        counts.update(prediction, target)

    def _adapt_to_counts(self, counts: Tensor) -> None:
        """Adapt to the counts of a validation during training, before its scores are computed."""

    def validation_step(self, batches: list[Batch], _batch_idx: int) -> None:
        """Update the metrics by validation batches."""
        self._evaluate(batches, "val")

    def test_step(self, batches: list[Batch], _batch_idx: int) -> None:  # noqa: PT019 - not a test
        """Update the metrics by test batches."""
        self._evaluate(batches, "test")

    def on_validation_epoch_end(self) -> None:
        """Score the validation split."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Score the test split."""
        self._log_scores("test")

    def _evaluate(self, batches: list[Batch], stage: Stage) -> None:
        counts, mean_loss = self._metrics(stage)
        if self.device_mesh is not None:
            pad_forward_passes(self, len(batches))
        for batch in batches:
            target = batch["target"]
            logits = self.logits_at_target(batch)
            prediction = self.decide(logits)
            self._update_counts(counts, logits, prediction, target)
            if self._is_scored:
                self.per_image.update(prediction, target, batch["index"])
            for metric in self.extra_metrics.values():
                assert isinstance(metric, Metric)
                metric.update(logits, target, batch["index"])
            for image_logits, truth in zip(logits, target, strict=True):
                # per image, since a loss normalized by its batch would depend on the batch size
                mean_loss.update(self.loss(image_logits[None], truth[None]), weight=(truth != IGNORE).any().float())

    def _log_scores(self, stage: Stage) -> None:
        counts, mean_loss = self._metrics(stage)
        self.counts[stage] = counts.compute().cpu()
        # Lightning resets only metrics that are logged as objects
        counts.reset()
        if self._is_scored:
            self.image_counts[stage] = self.per_image.compute()
            self.per_image.reset()
        else:
            self._adapt_to_counts(self.counts[stage])
        self.log(f"{stage}/loss", mean_loss, prog_bar=stage == "val")
        for name, value in self.split_scores(stage).items():
            # equal on all ranks, since the counts are summed; max keeps the value exact
            show = name == "score" and stage == "val"
            self.log(f"{stage}/{name}", value, prog_bar=show, sync_dist=True, reduce_fx="max")

    @property
    def _is_scored(self) -> bool:
        """Return whether this is an evaluation outside of training."""
        trainer = self._attached_trainer
        return trainer is not None and trainer.state.fn != "fit"

    @property
    def _attached_trainer(self) -> L.Trainer | None:
        try:
            return self.trainer
        except RuntimeError:
            return None

    def _metrics(self, stage: Stage) -> tuple[Metric, MeanMetric]:
        return (self.val_counts, self.val_loss) if stage == "val" else (self.test_counts, self.test_loss)
