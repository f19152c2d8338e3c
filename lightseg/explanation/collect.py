"""Statistics of one pass over a split, image by image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lightseg.data.loading.collate import to_device
from lightseg.errors import DataError
from lightseg.explanation.cells import coincidences, image_cells, label_mask_cells, mask_cells
from lightseg.explanation.slices import thirds
from lightseg.explanation.table import Table
from lightseg.explanation.uncertainty import ByUncertainty, entropy, label_entropy
from lightseg.labels import IGNORE
from lightseg.metrics.calibration import LabelCalibration, Reliability, make_calibration, reliabilities, valid_pixels
from lightseg.metrics.scores import Floats, Integers, ScoreKind
from lightseg.tasks.multilabel import MultilabelTask

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.tasks import Stage, Task


@dataclass(frozen=True)
class LabelStatistics:
    """Statistics of C classes that may overlap.

    Attributes:
        histogram: Pixels (or images) by truth and probability at temperature 1, `LabelHistogram.compute`.
        thresholds: Least probability, at the temperature, of each class that is predicted.
        absences: Pixels (or images) without the class of the row that have the class of the column, int64 `(C, C)`.
        alarms: Those of them that are predicted as the class of the row, its false alarms: counts by `image`,
            `prediction` (the class of the row) and `truth` (that of the column).
    """

    histogram: Integers
    thresholds: list[float]
    absences: Integers
    alarms: Table


@dataclass(frozen=True)
class Observations:
    """Statistics of a split.

    Attributes:
        kind: `segmentation` or `classification`.
        score_kind: Kind of the scores (`METRICS`).
        classes: The C class names.
        names: Names of the N images.
        cells: Counts of pixels (or images) by `image`, `truth`, `prediction` and the columns of `slices.SLICES`; for a
            segmentation also by `part`, the error type. Of classes that may overlap, there are those of every label,
            and truth and prediction have two ids for each class, see `explanation.cells`.
        objects: Counts of the true objects by `image`, `truth`, `missed` and the same slices; None for a
            classification.
        entropy: Mean normalized entropy of each image, float64 `(N,)`; NaN where every pixel is void.
        truth_probability: Mean probability of the truth in each image, likewise; of classes that may overlap, of the
            truth about each, `(N, C)`.
        temperature: Divisor of the logits before the softmax or the sigmoid.
        reliability: Confidence and accuracy with that temperature; of classes that may overlap, a table for each.
        uncalibrated: The same at temperature 1; None if the temperature is 1.
        by_uncertainty: Errors by uncertainty of the pixels (or images), or of their labels.
        labels: More statistics of classes that may overlap; None for classes that exclude each other.
    """

    kind: str
    score_kind: ScoreKind
    classes: list[str]
    names: list[str]
    cells: Table
    objects: Table | None
    entropy: Floats
    truth_probability: Floats
    temperature: float
    reliability: list[Reliability]
    uncalibrated: list[Reliability] | None
    by_uncertainty: ByUncertainty
    labels: LabelStatistics | None = None

    @property
    def num_choices(self) -> int:
        """Return the number of ids of truth and prediction: C, or 2 C of classes that may overlap; see `cells`."""
        return (2 if self.labels else 1) * len(self.classes)

    @property
    def confusion(self) -> Integers:
        """Return the confusion matrix, truth × prediction, int64 `(num_choices, num_choices)`."""
        return self.cells.sums(truth=self.num_choices, prediction=self.num_choices)

    @property
    def wrong(self) -> int:
        """Return the number of wrong pixels (or images): the sum off the diagonal of the confusion matrix."""
        return int(self.confusion.sum() - np.trace(self.confusion))

    @property
    def unit(self) -> str:
        """Return the unit of the counts."""
        return "pixels" if self.kind == "segmentation" else "images"

    def peers(self, table: Table, choice: int) -> Table:
        """Return the rows whose truth a choice is compared with: all; of classes that may overlap, their presence only.

        Of the absence of a class, it is the absence of all classes.
        """
        is_absence = table["truth"] >= len(self.classes)
        return table.where(is_absence == (choice >= len(self.classes)))


@dataclass
class _Collector:
    """Accumulator of the statistics of single images."""

    task: Task
    cells: list[Table] = field(default_factory=list)
    objects: list[Table] = field(default_factory=list)
    light: list[tuple[float, float]] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    truth_probability: list[Floats] = field(default_factory=list)
    by_uncertainty: ByUncertainty = field(default_factory=ByUncertainty)
    alarms: list[Table] = field(default_factory=list)

    def __post_init__(self) -> None:
        task, classes = self.task, len(self.task.classes)
        temperatures = (task.temperature, 1.0) if task.temperature != 1 else (1.0,)
        self.calibrations = [make_calibration(classes, task.multilabel, value) for value in temperatures]
        self.absences = np.zeros((classes, classes), np.int64)

    def add(self, index: int, image: Tensor, logits: Tensor, prediction: Tensor, target: Tensor) -> None:
        """Add an image.

        Args:
            index: Index of the image in its split.
            image: `(C, H, W)`.
            logits: `(K, H, W)` or `(K,)` float32.
            prediction: `(H, W)` or `()` int64; of classes that may overlap, `(K, H, W)` or `(K,)` uint8.
            target: The shape of the prediction, of any integer type.
        """
        for calibration in self.calibrations:
            calibration.update(logits[None], target[None], torch.tensor([index]))
        self.light.append(_light(image))
        measure = _label_certainty if self.task.multilabel else _certainty
        uncertainty, probability = measure(self.by_uncertainty, logits / self.task.temperature, prediction, target)
        self.entropy.append(uncertainty)
        self.truth_probability.append(probability)
        if self.task.multilabel:
            self._count_coincidences(index, target, prediction)
        self._count_cells(index, target, prediction)

    def _count_cells(self, index: int, target: Tensor, prediction: Tensor) -> None:
        truth, predicted = target.numpy(), prediction.numpy()
        if self.task.kind == "classification":
            cells = image_cells(truth, predicted)
        else:
            cells, objects = (
                label_mask_cells(truth, predicted)
                if self.task.multilabel
                else mask_cells(truth, predicted, len(self.task.classes))
            )
            self.objects.append(objects.with_column("image", np.full(len(objects), index)))
        self.cells.append(cells.with_column("image", np.full(len(cells), index)))

    def _count_coincidences(self, index: int, target: Tensor, prediction: Tensor) -> None:
        absences, alarms = coincidences(target, prediction)
        self.absences += absences
        predicted, truth = np.nonzero(alarms)
        columns = {"prediction": predicted, "truth": truth, "count": alarms[predicted, truth]}
        self.alarms.append(Table({**columns, "image": np.full(len(truth), index)}))

    def finish(self, names: list[str]) -> Observations:
        """Return the statistics of all images.

        Args:
            names: Names of the images.
        """
        columns = zip(("brightness", "contrast"), np.array(self.light).T, strict=True)
        levels = {name: thirds(values) for name, values in columns}
        reliability, *uncalibrated = (reliabilities(*calibration.compute()) for calibration in self.calibrations)
        return Observations(
            self.task.kind,
            self.task.score_kind,
            list(self.task.classes),
            names,
            _with_light(Table.stack(self.cells), levels),
            _with_light(Table.stack(self.objects), levels) if self.objects else None,
            np.array(self.entropy),
            np.array(self.truth_probability),
            self.task.temperature,
            reliability,
            uncalibrated[0] if uncalibrated else None,
            self.by_uncertainty,
            self._label_statistics(),
        )

    def _label_statistics(self) -> LabelStatistics | None:
        uncalibrated = self.calibrations[-1]
        if not (isinstance(self.task, MultilabelTask) and isinstance(uncalibrated, LabelCalibration)):
            return None
        thresholds = self.task.thresholds_at(self.task.temperature)
        return LabelStatistics(uncalibrated.counts.numpy(), thresholds, self.absences, Table.stack(self.alarms))


@torch.inference_mode()
def collect(task: Task, data: ImageDataModule, split: Stage) -> Observations:
    """Predict every image of a split, one at a time, which limits the memory to that of one, and collect statistics.

    Raises:
        DataError: If no pixel of the split is valid, or a file is broken.
    """
    dataset, collector = data.dataset(split), _Collector(task)
    for index in range(len(dataset)):
        batch = to_device(data.eval_batch(index, split), task.device)
        logits = task.logits_at_target(batch)
        parts = logits, task.decide(logits), batch["target"]
        collector.add(index, batch["image"][0], *(part[0].cpu() for part in parts))
    if not any(map(len, collector.cells)):
        raise DataError(f"{data.root}: every pixel of the {split} split is void; there is nothing to explain")
    return collector.finish([dataset.name(index) for index in range(len(dataset))])


def _light(image: Tensor) -> tuple[float, float]:
    """Return the mean and the standard deviation of an image, `(C, H, W)`, over its pixels, averaged over channels."""
    gray = image.float().mean(0)
    return float(gray.mean()), float(gray.std(correction=0))


def _certainty(
    by_uncertainty: ByUncertainty, logits: Tensor, prediction: Tensor, target: Tensor
) -> tuple[float, Floats]:
    """Count an image by its uncertainty; return the mean entropy, and the mean probability of the true class, `()`."""
    valid, truth = valid_pixels(logits, target)
    if not len(truth):
        return float("nan"), np.array(np.nan)
    probabilities = valid.T.softmax(0)
    uncertainty = entropy(probabilities)
    by_uncertainty.update(uncertainty, prediction[target != IGNORE] != truth)
    return float(uncertainty.mean()), probabilities.gather(0, truth[None]).mean().double().numpy()


def _label_certainty(
    by_uncertainty: ByUncertainty, logits: Tensor, prediction: Tensor, target: Tensor
) -> tuple[float, Floats]:
    """Count the labels of an image by their uncertainty; return the mean entropy and the mean probability of the truth.

    The latter is `(K,)`, NaN for a class without a valid pixel, as the former is without any.
    """
    probabilities, valid = logits.sigmoid(), target != IGNORE
    uncertainty = label_entropy(probabilities[valid])
    by_uncertainty.update(uncertainty, (prediction != target)[valid])
    of_truth = torch.where(target == 1, probabilities, 1 - probabilities).where(valid, torch.nan)
    return float(uncertainty.mean()), of_truth.reshape(len(target), -1).double().nanmean(1).numpy()


def _with_light(table: Table, levels: dict[str, Integers]) -> Table:
    for name, values in levels.items():
        table = table.with_column(name, values[table["image"]])
    return table
