"""Recall by object size: IoU is insensitive to small objects."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.labels import IGNORE
from lightseg.metrics.scores import Integers, mean

SIZES = ("small", "medium", "large")
LIMITS = (32**2, 96**2)
"""Pixels of the smallest medium and the smallest large object, as in COCO."""


class ObjectRecall(Metric):
    """Objects, detected objects, pixels and correct pixels of each class and object size.

    An object is an 8-connected region of a class in the target; its size is its number of pixels. It is detected if
    at least half of them are correct.

    Args:
        num_classes: C.
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(num_classes, len(SIZES), 4, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:  # noqa: ARG002
        """Count a batch of images.

        Args:
            logits: `(N, C, H, W)`.
            target: `(N, H, W)` int64, in [0, C) or `IGNORE`.
            index: Indices of the images in the dataset, `(N,)`; unused.
        """
        batch_counts: Integers = np.zeros(self.counts.shape, np.int64)
        for target_labels, predicted_labels in zip(target.cpu().numpy(), logits.argmax(1).cpu().numpy(), strict=True):
            for label in np.unique(target_labels[target_labels != IGNORE]):
                batch_counts[label] += _count(target_labels == label, predicted_labels == label)
        self.counts = self.counts + torch.from_numpy(batch_counts).to(self.counts.device)

    def compute(self) -> Tensor:
        """Return objects, detected objects, pixels and correct pixels, int64 `(C, 3, 4)`; sizes as in `SIZES`."""
        return self.counts


def _count(target: npt.NDArray[np.bool_], prediction: npt.NDArray[np.bool_]) -> Integers:
    """Return the counts of one class in one image, int64 `(3, 4)`, from its masks `(H, W)`."""
    number, regions, stats, _ = cv2.connectedComponentsWithStats(target.astype(np.uint8), connectivity=8)
    pixels = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    correct = np.bincount(regions[target & prediction], minlength=number)[1:]
    counts = np.zeros((len(SIZES), 4), np.int64)
    rows = np.column_stack([np.ones_like(pixels), 2 * correct >= pixels, pixels, correct])
    np.add.at(counts, np.searchsorted(LIMITS, pixels, side="right"), rows)
    return counts


def scores(counts: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return pixel recall and the share of detected objects by size: the mean over classes, and that of every class.

    NaN where there are no such objects; means leave NaN out.

    Args:
        counts: Result of `ObjectRecall.compute`, int64 `(C, 3, 4)`.
        classes: C class names.
    """
    objects, detected, pixels, correct = np.moveaxis(counts.numpy().astype(np.float64), -1, 0)
    values: dict[str, float] = {}
    for prefix, part, total in (("recall", correct, pixels), ("found", detected, objects)):
        shares = np.divide(part, total, out=np.full_like(total, np.nan), where=total > 0)
        means = mean(shares, 0)
        for column, size in enumerate(SIZES):
            values[f"{prefix}_{size}"] = float(means[column])
            values |= {f"{prefix}_{size}/{name}": float(shares[row, column]) for row, name in enumerate(classes)}
    return values
