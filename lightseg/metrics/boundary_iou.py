"""Boundary IoU: how well outlines agree, which the IoU of a large region hardly shows."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.labels import IGNORE
from lightseg.metrics.scores import iou

WIDTH = 0.02
"""Width of the band along an outline, as a share of the image's diagonal, that the paper takes."""

Labels = npt.NDArray[np.uint8]


class BoundaryIoU(Metric):
    """Pixels in the band along the inside of each class's outline: in both truth and prediction, in the one, the other.

    An image's border is an outline, as in the paper's code. Void belongs to no class, in the truth as in the
    prediction, so its edge is an outline of both. Pixels add up over images, as in IoU.

    Args:
        num_classes: C.
        width: Width of the band as a share of the image's diagonal; it is 1 pixel at least.

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
        """Count some images.

        Args:
            logits: `(N, C, H, W)`.
            target: `(N, H, W)` int64, in [0, C) or `IGNORE`.
            index: Which images they are.
        """
        target = target.to(torch.uint8)
        prediction = logits.argmax(1).to(torch.uint8).where(target != IGNORE, IGNORE)
        added = np.zeros(self.counts.shape, np.int64)
        for truth, said in zip(target.cpu().numpy(), prediction.cpu().numpy(), strict=True):
            distance = max(1, round(self.width * float(np.hypot(*truth.shape))))
            true, predicted = band(truth, distance), band(said, distance)
            for row, chosen in enumerate((true[true == predicted], true, predicted)):
                added[row] += np.bincount(chosen.ravel(), minlength=IGNORE + 1)[: self.num_classes]
        self.counts = self.counts + torch.from_numpy(added).to(self.counts.device)

    def compute(self) -> Tensor:
        """Pixels in both bands, in that of the truth, and in that of the prediction, int64 `(3, C)`."""
        return self.counts


def band(labels: Labels, distance: int) -> Labels:
    """Return the labels at pixels within `distance` of another label or the border, `IGNORE` elsewhere.

    Distances are those of a chessboard. These are the pixels that eroding each label's mask by a square takes away, as
    the paper's code does.

    Args:
        labels: `(H, W)` uint8.
        distance: In pixels.
    """
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    # beyond this frame of void OpenCV sees nothing
    framed = cv2.copyMakeBorder(labels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=IGNORE)
    differs = cv2.dilate(framed, square) != cv2.erode(framed, square)
    return np.where(differs[1:-1, 1:-1], labels, np.uint8(IGNORE))


def scores(counts: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return the mean boundary IoU over the classes that are in a band, and that of every class; NaN where undefined.

    Args:
        counts: `BoundaryIoU.compute`.
        classes: The C names.
    """
    each = iou(counts.numpy())
    mean = float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")
    per_class = {f"boundary_iou/{name}": float(value) for name, value in zip(classes, each, strict=True)}
    return {"boundary_iou": mean, **per_class}
