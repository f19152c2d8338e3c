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

from lightseg.errors import UserError
from lightseg.files import replacing

Counts = npt.NDArray[np.int64]


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
