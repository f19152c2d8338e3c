"""Per-image true-positive, target and prediction counts, for paired comparisons."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from lightseg.config.schema import FACTS, plain, require_form
from lightseg.errors import UserError
from lightseg.files.atomic import atomic_write, require_regular
from lightseg.files.printable import printable

Counts = npt.NDArray[np.int64]

_COLUMNS, _PIXELS, _BYTES, _CELLS = 5, 2**40, 2**32, 2**26
"""Columns of `PerImageResults.rows`; and the limits of an image's pixels, of bytes, of images times classes."""

_DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, RecursionError, NotImplementedError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class PerImageResults:
    """Scoring of one split, image by image, and what a fair comparison must know of it.

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
        with atomic_write(path) as temporary, temporary.open("wb") as file:
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
    def read(cls, folder: Path, split: str) -> PerImageResults | None:
        """Return what `write` wrote into a run folder; None if nothing.

        Raises:
            UserError: If the file is damaged.
        """
        path = folder / f"per_image_{split}.npz"
        if not path.exists():
            return None
        require_regular(path)
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                _require_small(opened)
                facts = json.loads(str(file["facts"]))
                names = {name: [printable(str(each)) for each in file[name].tolist()] for name in ("classes", "images")}
                indices, rows = file["indices"], file["rows"]
            require_form(FACTS, facts, path, "facts")
            _require_consistent(names["images"], names["classes"], indices, rows)
            fields: dict[str, Any] = {**plain(facts, path), **names}
            return cls(**fields, indices=indices, rows=rows)
        except _DAMAGE as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: is damaged ({reason}); bring the file back, or leave this run out") from None


def _require_small(opened: BinaryIO) -> None:
    """See that an archive is in memory not larger than the counts of any data set are.

    Raises:
        ValueError: If it is.
    """
    with zipfile.ZipFile(opened) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > _BYTES:
        raise ValueError(f"it would take {size} bytes, more than {_BYTES}")


def _require_consistent(images: Sequence[str], classes: Sequence[str], indices: Counts, rows: Counts) -> None:
    """See that counts are of the images and the classes that there are.

    Raises:
        ValueError: If not.
    """
    if indices.dtype != np.int64 or indices.shape != (len(images),) or (indices < 0).any():
        raise ValueError(f"indices: one whole number from 0 on for each of {len(images)} images is expected")
    if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != _COLUMNS:
        raise ValueError(f"rows: {_COLUMNS} whole numbers in each are expected")
    if (rows < 0).any() or (rows[:, 0] >= len(images)).any() or (rows[:, 1] >= len(classes)).any():
        raise ValueError("rows: an image, a class or a number of pixels is not possible")
    # sums of all images must not run over either
    if (rows[:, 2:] > _PIXELS).any() or (rows[:, 2] > rows[:, 3:].min(1, initial=_PIXELS)).any():
        raise ValueError("rows: more pixels are right than there are, or than any image has")
    if len(images) * len(classes) > _CELLS:
        raise ValueError(f"{len(images)} images and {len(classes)} classes are more than can be compared")
