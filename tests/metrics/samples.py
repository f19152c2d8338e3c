"""Predictions and targets with absent classes and void."""

import numpy as np
import torch
from torch.nn import functional as F

from lightseg.labels import IGNORE
from lightseg.metrics.confusion_matrix import ConfusionMatrix


def sample_labels(seed, classes=6, size=(7, 5, 4), absent_truth=(), absent_prediction=()):
    """Return a prediction and a target, a fifth of it void; the `absent_*` classes never occur."""
    rng = np.random.default_rng(seed)
    target_classes = [label for label in range(classes) if label not in absent_truth]
    predicted_classes = [label for label in range(classes) if label not in absent_prediction]
    target, prediction = rng.choice(target_classes, size), rng.choice(predicted_classes, size)
    prediction = np.where((rng.random(size) < 0.4) & np.isin(target, predicted_classes), target, prediction)
    target[rng.random(size) < 0.2] = IGNORE
    return torch.from_numpy(prediction), torch.from_numpy(target)


def count(prediction, target, classes=6):
    """Return the confusion matrix of one batch, int64 `(C, C)`."""
    metric = ConfusionMatrix(classes)
    metric.update(prediction, target)
    return metric.compute()


def one_hot_logits(prediction, classes):
    """Return logits `(N, C, ...)` whose largest is the prediction `(N, ...)`."""
    return F.one_hot(torch.as_tensor(prediction, dtype=torch.int64), classes).movedim(-1, 1).float()


SAMPLES = {
    "all_present": sample_labels(0),
    "absent_from_truth": sample_labels(1, absent_truth=(2,)),
    "absent_from_prediction": sample_labels(2, absent_prediction=(0, 4)),
    "absent_from_both": sample_labels(3, absent_truth=(5, 1), absent_prediction=(5,)),
}
