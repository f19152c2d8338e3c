"""Recall by the size of what is to be found: small objects hardly weigh in IoU, whatever becomes of them."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.labels import IGNORE
from lightseg.metrics.scores import mean

Counts = npt.NDArray[np.int64]

SIZES = ("small", "medium", "large")
LIMITS = (32**2, 96**2)
"""Pixels of the smallest medium and the smallest large object: COCO's."""


class ObjectRecall(Metric):
    """Objects of each class and size: how many there are, how many are found, their pixels, and how many are right.

    An object is a connected region of a class in the truth, neighbours touching by side or corner; its size is its
    number of pixels. It is found where at least half of them are right.

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
        """Count some images.

        Args:
            logits: `(N, C, H, W)`.
            target: `(N, H, W)` int64, in [0, C) or `IGNORE`.
            index: Which images they are.
        """
        added = np.zeros(self.counts.shape, np.int64)
        for truth, predicted in zip(target.cpu().numpy(), logits.argmax(1).cpu().numpy(), strict=True):
            for label in np.unique(truth[truth != IGNORE]):
                added[label] += _count(truth == label, predicted == label)
        self.counts = self.counts + torch.from_numpy(added).to(self.counts.device)

    def compute(self) -> Tensor:
        """Objects, those found, pixels, those right, int64 `(C, 3, 4)`; sizes in the order of `SIZES`."""
        return self.counts


def _count(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]) -> Counts:
    number, regions, stats, _ = cv2.connectedComponentsWithStats(truth.astype(np.uint8), connectivity=8)
    pixels = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    right = np.bincount(regions[truth & predicted], minlength=number)[1:]
    counts = np.zeros((len(SIZES), 4), np.int64)
    rows = np.column_stack([np.ones_like(pixels), 2 * right >= pixels, pixels, right])
    np.add.at(counts, np.searchsorted(LIMITS, pixels, side="right"), rows)
    return counts


def scores(counts: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Recall of pixels and share of objects found, by size, as a mean over classes and of every class.

    NaN where there are no such objects; means leave that out.

    Args:
        counts: `ObjectRecall.compute`.
        classes: The C names.
    """
    objects, detected, pixels, right = np.moveaxis(counts.numpy().astype(np.float64), -1, 0)
    per_class: dict[str, float] = {}
    for what, part, total in (("recall", right, pixels), ("found", detected, objects)):
        shares = np.divide(part, total, out=np.full_like(total, np.nan), where=total > 0)
        means = mean(shares, 0)
        for column, size in enumerate(SIZES):
            per_class[f"{what}_{size}"] = float(means[column])
            per_class |= {f"{what}_{size}/{name}": float(shares[row, column]) for row, name in enumerate(classes)}
    return per_class
