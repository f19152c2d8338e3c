"""What each image adds to a split's score, so that a difference of two runs can be weighed image by image."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.errors import UserError
from lightseg.files import replacing
from lightseg.labels import IGNORE

Counts = npt.NDArray[np.int64]


class PerImageCounts(Metric):
    """For every image and class that is in its truth or prediction: pixels that are right, true and predicted.

    Their sums over the images are the diagonal, the row sums and the column sums of the confusion matrix. A
    classification is an image of one pixel.

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
        """Forget every image."""
        super().reset()
        # a process that has seen no image gives its rows to the others all the same
        self.rows.append(torch.zeros(0, 5, dtype=torch.int64, device=self.device))

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Count some images.

        Args:
            prediction: `(N, ...)` int64, in [0, C); anything where the target is `IGNORE`.
            target: `(N, ...)` int64, in [0, C) or `IGNORE`, which is not counted.
            index: Which images they are, `(N,)` int64.
        """
        images, classes = len(target), self.num_classes
        prediction, target = prediction.reshape(images, -1), target.reshape(images, -1)
        first = torch.arange(images, device=target.device)[:, None] * classes
        valid = target != IGNORE

        def count(ids: Tensor, chosen: Tensor) -> Tensor:
            return torch.bincount((first + ids)[chosen], minlength=images * classes).view(images, classes)

        hits, truth = count(target, valid & (target == prediction)), count(target, valid)
        predicted = count(prediction, valid)
        image, label = torch.nonzero(truth + predicted, as_tuple=True)
        cells = [counts[image, label] for counts in (hits, truth, predicted)]
        self.rows.append(torch.stack([index.to(image.device)[image], label, *cells], dim=1))

    def compute(self) -> Tensor:
        """Image, class, right, true and predicted, int64 `(M, 5)`, in the order of images and classes."""
        rows = torch.cat([*self.rows]) if isinstance(self.rows, list) else self.rows
        rows = rows.cpu()
        order = np.lexsort((rows[:, 1].numpy(), rows[:, 0].numpy()))
        return rows[torch.from_numpy(order)]


@dataclass(frozen=True)
class Evaluation:
    """One scoring of one split, image by image, and what a fair comparison must know of it.

    Attributes:
        kind: What was scored.
        split: `val` or `test`.
        data: Hash of the split's content.
        protocol: How predictions were made and scored; scores of different protocols do not compare.
        classes: The C class names.
        images: The N names of the images that were scored: all of the split, but for those without a valid pixel, and
            where the evaluation was limited.
        indices: Where each of them is in the split's dataset, `(N,)` int64.
        rows: Image (its place in `images`), class, pixels right, true and predicted, int64 `(M, 5)`.
    """

    kind: Literal["segmentation", "classification"]
    split: str
    data: str
    protocol: str
    classes: Sequence[str]
    images: Sequence[str]
    indices: Counts
    rows: Counts

    @property
    def dense(self) -> Counts:
        """Pixels right, true and predicted of each image and class, int64 `(N, 3, C)`."""
        counts = np.zeros((len(self.images), 3, len(self.classes)), np.int64)
        image, label = self.rows[:, 0], self.rows[:, 1]
        counts[image, :, label] = self.rows[:, 2:]
        return counts

    def write(self, folder: Path) -> Path:
        """Write `per_image_SPLIT.npz` into a run folder, whole or not at all; returns the file."""
        facts = {name: getattr(self, name) for name in ("kind", "split", "data", "protocol")}
        path = folder / f"per_image_{self.split}.npz"
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                facts=np.array(json.dumps(facts)),
                classes=np.array(list(self.classes)),
                images=np.array(list(self.images)),
                indices=self.indices,
                rows=self.rows,
            )
        return path

    @classmethod
    def read(cls, folder: Path, split: str) -> Evaluation | None:
        """What `write` wrote into a run folder; None if nothing.

        Raises:
            UserError: If the file is damaged.
        """
        path = folder / f"per_image_{split}.npz"
        if not path.exists():
            return None
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                names = {name: file[name].tolist() for name in ("classes", "images")}
                return cls(**facts, **names, indices=file["indices"], rows=file["rows"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: is damaged ({error}); bring the file back, or leave this run out") from None
