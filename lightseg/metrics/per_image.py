"""Per-image true-positive, target and prediction counts, for paired comparisons."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lightseg.config.plain_data import plain
from lightseg.config.run_schema import FACTS
from lightseg.config.schema import require_form
from lightseg.errors import UserError
from lightseg.files.atomic import atomic_write, require_regular
from lightseg.files.limited import require_inside
from lightseg.files.printable import printable
from lightseg.metrics.scores import Integers, ScoreKind

_COLUMNS, _PIXELS, _BYTES, _CELLS = 5, 2**40, 2**32, 2**26
"""Columns of `PerImageResults.rows`, and limits of the pixels of an image, of bytes, and of images times classes."""

_DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, RecursionError, NotImplementedError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class PerImageResults:
    """Per-image counts of a scored split, and the conditions under which it was scored.

    Attributes:
        kind: Task whose predictions were scored; it defines the metrics (`METRICS`).
        split: `val` or `test`.
        data: Fingerprint of the split.
        protocol: Description of the inference and the scoring; scores of different protocols do not compare.
        classes: C class names.
        images: N names of the scored images: all of the split, except images without a valid pixel, and except what
            a limited evaluation left out.
        indices: Indices of these images in the dataset of the split, int64 `(N,)`.
        rows: Image (index in `images`), class, true-positive, target and prediction pixels, int64 `(M, 5)`.
    """

    kind: ScoreKind
    split: str
    data: str
    protocol: str
    classes: Sequence[str]
    images: Sequence[str]
    indices: Integers
    rows: Integers

    @property
    def dense(self) -> Integers:
        """True-positive, target and prediction pixels of each image and class, int64 `(N, 3, C)`."""
        counts = np.zeros((len(self.images), 3, len(self.classes)), np.int64)
        image, label = self.rows[:, 0], self.rows[:, 1]
        counts[image, :, label] = self.rows[:, 2:]
        return counts

    def write(self, folder: Path) -> Path:
        """Write `per_image_SPLIT.npz` into a run folder atomically; return its path."""
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
        """Read `per_image_SPLIT.npz` of a run folder; return None if there is none.

        Raises:
            UserError: If the file is damaged.
        """
        path = folder / f"per_image_{split}.npz"
        if not path.exists():
            return None
        require_regular(path)
        require_inside(path)
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                _require_small(opened)
                facts = json.loads(str(file["facts"]))
                names = {key: [printable(str(name)) for name in file[key].tolist()] for key in ("classes", "images")}
                indices, rows = file["indices"], file["rows"]
            require_form(FACTS, facts, path, "facts")
            _require_consistent(names["images"], names["classes"], indices, rows)
            attributes: dict[str, Any] = {**plain(facts, path), **names}
            return cls(**attributes, indices=indices, rows=rows)
        except _DAMAGE as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: is damaged ({reason}); bring the file back, or leave this run out") from None


def _require_small(opened: BinaryIO) -> None:
    """Check that the uncompressed size of an archive is within `_BYTES`.

    Raises:
        ValueError: If the archive is larger.
    """
    with zipfile.ZipFile(opened) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _BYTES:
        raise ValueError(f"it would take {size} bytes, more than {_BYTES}")


def _require_consistent(images: Sequence[str], classes: Sequence[str], indices: Integers, rows: Integers) -> None:
    """Check that indices and rows fit the images and the classes.

    Raises:
        ValueError: If they do not.
    """
    if indices.dtype != np.int64 or indices.shape != (len(images),) or (indices < 0).any():
        raise ValueError(f"indices: one whole number from 0 on for each of {len(images)} images is expected")
    if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != _COLUMNS:
        raise ValueError(f"rows: {_COLUMNS} whole numbers in each are expected")
    if (rows < 0).any() or (rows[:, 0] >= len(images)).any() or (rows[:, 1] >= len(classes)).any():
        raise ValueError("rows: an image, a class or a number of pixels is not possible")
    # so that the sums over all images do not overflow, either
    if (rows[:, 2:] > _PIXELS).any() or (rows[:, 2] > rows[:, 3:].min(1, initial=_PIXELS)).any():
        raise ValueError("rows: more pixels are right than there are, or than any image has")
    if len(images) * len(classes) > _CELLS:
        raise ValueError(f"{len(images)} images and {len(classes)} classes are more than can be compared")
