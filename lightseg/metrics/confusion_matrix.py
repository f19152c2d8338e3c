"""Confusion matrix of a split and counts of each image, accumulated over batches and processes."""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE


class ConfusionMatrix(Metric):
    """Counts of (target, prediction) pairs over all batches; the counts of the ranks are summed.

    Rows are the target, columns the prediction.

    Args:
        num_classes: C, at most `IGNORE`.

    Raises:
        ConfigError: If there are more classes than ids below `IGNORE`.
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if not 1 <= num_classes <= IGNORE:
            raise ConfigError(f"{num_classes} classes: there must be 1 to {IGNORE}, since {IGNORE} marks void")
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count a batch, or a part of one.

        Args:
            prediction: int64, any shape, in [0, C); any value where the target is `IGNORE`.
            target: int64, the same shape, in [0, C) or `IGNORE`, which is not counted.

        Raises:
            ValueError: If the shapes differ or an id is out of range.
        """
        if prediction.shape != target.shape:
            raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
        valid = target != IGNORE
        for name, ids in (("target", target), ("prediction", prediction)):
            # `any` synchronizes with the device, as bincount does anyway
            outside = valid & ((ids < 0) | (ids >= self.num_classes))
            if outside.any():
                invalid_ids = ids[outside].unique().tolist()
                raise ValueError(
                    f"{name} has {invalid_ids}, not class ids in [0, {self.num_classes}) or {IGNORE} (ignore)"
                )
        cells = self.num_classes**2
        # a mask read as uint8 would overflow
        cell = torch.where(valid, target.long() * self.num_classes + prediction, cells)
        # not in place: another reference may hold the counts of before
        self.counts = self.counts + torch.bincount(cell.flatten(), minlength=cells + 1)[:cells].view_as(self.counts)

    def compute(self) -> Tensor:
        """Return the counts, int64 `(C, C)`."""
        return self.counts


class PerImageCounts(Metric):
    """True-positive, target and prediction pixels of every image and every class in its target or prediction.

    Their sums over the images are the diagonal, the row sums and the column sums of the confusion matrix. A sample of
    a classification counts as an image of one pixel.

    Args:
        num_classes: C.
    """

    is_differentiable = False
    full_state_update = False
    rows: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Remove the counts of all images."""
        super().reset()
        # a process without images takes part in gathering, too, and needs rows to give
        self.rows.append(torch.zeros(0, 5, dtype=torch.int64, device=self.device))

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Count some images.

        Args:
            prediction: `(N, ...)` int64, in [0, C); any value where the target is `IGNORE`.
            target: `(N, ...)` int64, in [0, C) or `IGNORE`, which is not counted.
            index: Indices of the images in the dataset, `(N,)` int64.
        """
        images, classes = len(target), self.num_classes
        prediction, target = prediction.reshape(images, -1), target.reshape(images, -1)
        first = torch.arange(images, device=target.device)[:, None] * classes
        valid = target != IGNORE

        def count(ids: Tensor, mask: Tensor) -> Tensor:
            return torch.bincount((first + ids)[mask], minlength=images * classes).view(images, classes)

        true_positives, targets = count(target, valid & (target == prediction)), count(target, valid)
        predictions = count(prediction, valid)
        image, label = torch.nonzero(targets + predictions, as_tuple=True)
        cells = [counts[image, label] for counts in (true_positives, targets, predictions)]
        self.rows.append(torch.stack([index.to(image.device)[image], label, *cells], dim=1))

    def compute(self) -> Tensor:
        """Return image, class, true-positive, target and prediction pixels, int64 `(M, 5)`, by image and class."""
        rows = torch.cat([*self.rows]) if isinstance(self.rows, list) else self.rows
        rows = rows.cpu()
        order = np.lexsort((rows[:, 1].numpy(), rows[:, 0].numpy()))
        return rows[torch.from_numpy(order)]
