"""Boundary IoU: agreement of outlines, to which the IoU of a large region is insensitive."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.labels import IGNORE
from lightseg.metrics.scores import Integers, iou, mean

WIDTH = 0.02
"""Width of the band along an outline, as a share of the image's diagonal, as in the paper."""

LabelImage = npt.NDArray[np.uint8]
"""Class ids or `IGNORE`, `(H, W)`."""


class BoundaryIoU(Metric):
    """True-positive, target and prediction pixels in the band along the inside of each class's outline.

    An image's border is an outline, as in the paper's code. Void belongs to no class, in the target as in the
    prediction, so its edge is an outline of both. Pixels are summed over images, as in IoU.

    Args:
        num_classes: C.
        width: Width of the band as a share of the image's diagonal; at least 1 pixel is taken.

    Source: Cheng et al. 2021, arXiv:2103.16562, eq. 2, and its code, bowenc0221/boundary-iou-api (`mask_to_boundary`).
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int, width: float = WIDTH) -> None:
        super().__init__()
        self.num_classes, self.width = num_classes, width
        self.add_state("counts", torch.zeros(3, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:  # noqa: ARG002
        """Count a batch of images.

        Args:
            logits: `(N, C, H, W)`.
            target: `(N, H, W)` int64, in [0, C) or `IGNORE`.
            index: Indices of the images in the dataset, `(N,)`; unused.
        """
        target = target.to(torch.uint8)
        prediction = logits.argmax(1).to(torch.uint8).where(target != IGNORE, IGNORE)
        batch_counts: Integers = np.zeros(self.counts.shape, np.int64)
        for target_labels, predicted_labels in zip(target.cpu().numpy(), prediction.cpu().numpy(), strict=True):
            distance = max(1, round(self.width * float(np.hypot(*target_labels.shape))))
            target_band, predicted_band = band(target_labels, distance), band(predicted_labels, distance)
            common = target_band[target_band == predicted_band]
            for row, labels in enumerate((common, target_band, predicted_band)):
                batch_counts[row] += np.bincount(labels.ravel(), minlength=IGNORE + 1)[: self.num_classes]
        self.counts = self.counts + torch.from_numpy(batch_counts).to(self.counts.device)

    def compute(self) -> Tensor:
        """Return the pixels in both bands, in that of the target and in that of the prediction, int64 `(3, C)`."""
        return self.counts


def band(labels: LabelImage, distance: int) -> LabelImage:
    """Return the labels within `distance` of a different label or of the border, `IGNORE` elsewhere.

    Distances are Chebyshev distances: the band holds the pixels that an erosion of each label's mask by a square
    removes, as in the paper's code.

    Args:
        labels: uint8 `(H, W)`.
        distance: Pixels, at least 1.
    """
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    # OpenCV ignores pixels outside of the image; the frame of void makes the border an outline
    framed = cv2.copyMakeBorder(labels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=IGNORE)
    differs = cv2.dilate(framed, square) != cv2.erode(framed, square)
    return np.where(differs[1:-1, 1:-1], labels, np.uint8(IGNORE))


def scores(counts: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return the mean boundary IoU over the classes that are in a band, and that of every class; NaN where undefined.

    Args:
        counts: Result of `BoundaryIoU.compute`, int64 `(3, C)`.
        classes: C class names.
    """
    values = iou(counts.numpy())
    by_class = {f"boundary_iou/{name}": value for name, value in zip(classes, values.tolist(), strict=True)}
    return {"boundary_iou": float(mean(values, 0)), **by_class}
