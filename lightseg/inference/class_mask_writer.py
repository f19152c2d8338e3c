"""Masks of classes that may overlap: a PNG for each class, or one TIFF with a channel for each."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lightseg.files.atomic import atomic_write
from lightseg.inference.mask_writer import LONGEST, blend, write_probabilities
from lightseg.inference.png_writer import PalettePng
from lightseg.visualization.figures import colorize

if TYPE_CHECKING:
    from lightseg.inference.inference_config import InferenceConfig
    from lightseg.inference.predictor import Predictor
    from lightseg.inference.readers import Source

_UNSAFE = re.compile(r"[^\w .()+-]")
"""Characters of a class name that a file name may not hold."""

_BLACK = (0, 0, 0)
"""Color of pixels without a class."""

_TILE = 256
"""Side of the tiles of a TIFF in pixels."""

_CLASSIC_BYTES = 2**32 - 2**25
"""Limit of the pixels of a classic TIFF, whose offsets have 32 bits."""


@dataclass(frozen=True)
class ClassOutputs:
    """Output files of one image.

    Attributes:
        masks: PNG of each class with the values 0 and 1, or one TIFF with a channel of them for each class.
        is_tiff: Whether it is a TIFF.
        overlay: JPEG of the image under its classes, reduced to `LONGEST`; None: no overlay.
        probabilities: `.npy` of `(K, H, W)` float16; None: no probabilities.
    """

    masks: tuple[Path, ...]
    is_tiff: bool = False
    overlay: Path | None = None
    probabilities: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Return the files to write."""
        return [*self.masks, *(path for path in (self.overlay, self.probabilities) if path is not None)]


def file_names(classes: Sequence[str]) -> list[str]:
    """Return the part of a file name for each class: the class, or with its id where that would not do."""
    names = [_UNSAFE.sub("_", name) for name in classes]
    uses = Counter(name.casefold() for name in names)
    return [name if uses[name.casefold()] == 1 else f"{name}_{label}" for label, name in enumerate(names)]


def write_class_masks(
    task: Predictor,
    source: Source,
    protocol: InferenceConfig,
    outputs: ClassOutputs,
    palette: Sequence[tuple[int, int, int]],
    batch: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Predict an image and write its files, each atomically; under windows, in bounded memory.

    Args:
        task: A task whose classes may overlap.
        source: The image.
        protocol: Windows and test-time augmentation.
        outputs: The files.
        palette: One RGB color per class.
        batch: Number of windows in one forward pass; see `windows.slide`.
        progress: Called with the completed share of the image, 0 to 1, after each row of windows.
    """
    (height, width), temperature = source.size, task.temperature_under(protocol)
    step = math.ceil(max(height, width) / LONGEST)
    reduced: list[npt.NDArray[np.uint8]] = []
    with ExitStack() as files:
        temporary = {path: files.enter_context(atomic_write(path)) for path in outputs.paths}
        masks = [temporary[path] for path in outputs.masks]
        if outputs.is_tiff:
            write = _TiffWriter(masks[0], source.size, files.enter_context(TemporaryFile(dir=masks[0].parent))).write
        else:
            colors = zip(masks, palette, strict=True)
            pngs = [files.enter_context(PalettePng(path, source.size, [_BLACK, color])) for path, color in colors]

            def write(rows: npt.NDArray[np.uint8]) -> None:
                for png, channel in zip(pngs, rows, strict=True):
                    png.write(channel)

        rows: npt.NDArray[np.uint8] | None = None
        for top, x, block in task.predict_blocks(source, protocol, batch):
            part = task.decide_block(block)
            if rows is None or rows.shape[1] != part.shape[1]:
                rows = np.empty((*part.shape[:2], width), np.uint8)
            rows[..., x : x + part.shape[2]] = part
            if outputs.probabilities is not None:
                probabilities = task.probabilities(block / temperature, 0)
                write_probabilities(temporary[outputs.probabilities], source.size, top, x, probabilities)
            if x + part.shape[2] == width:
                write(rows)
                reduced.append(rows[:, -top % step :: step, ::step].copy())
                if progress is not None:
                    progress((top + rows.shape[1]) / height)
        if outputs.overlay is not None:
            picture = blend(source, step, colorize(np.concatenate(reduced, axis=1), palette))
            picture.save(temporary[outputs.overlay], "JPEG", quality=90)


class _TiffWriter:
    """Writer of a compressed TIFF with a channel for each class, row by row.

    Args:
        path: The file.
        size: Height and width.
        rows: Temporary file for the rows, since the channels of a TIFF are stored one after another.
    """

    def __init__(self, path: Path, size: tuple[int, int], rows: IO[bytes]) -> None:
        self._path, self._size, self._rows = path, size, rows
        self._channels = self._top = 0

    def write(self, rows: npt.NDArray[np.uint8]) -> None:
        """Append rows, `(K, n, W)`; the last ones complete the file."""
        height, width = self._size
        self._channels = len(rows)
        for label, channel in enumerate(rows):
            self._rows.seek((label * height + self._top) * width)
            self._rows.write(channel.tobytes())
        self._top += rows.shape[1]
        if self._top == height:
            self._finish()

    def _finish(self) -> None:
        import tifffile

        is_single = self._channels == 1
        with tifffile.TiffWriter(self._path, bigtiff=self._channels * math.prod(self._size) > _CLASSIC_BYTES) as file:
            file.write(
                self._tiles(),
                shape=self._size if is_single else (self._channels, *self._size),
                dtype=np.uint8,
                tile=(_TILE, _TILE),
                photometric="minisblack",
                planarconfig=None if is_single else "separate",
                compression="zlib",
                metadata=None,
                software=False,
                # other threads would read ahead without limit
                maxworkers=1,
            )

    def _tiles(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the tiles of each channel, row by row; those at the edges are smaller."""
        height, width = self._size
        for label in range(self._channels):
            for top in range(0, height, _TILE):
                rows = min(_TILE, height - top)
                self._rows.seek((label * height + top) * width)
                strip = np.frombuffer(self._rows.read(rows * width), np.uint8).reshape(rows, width)
                for x in range(0, width, _TILE):
                    yield strip[:, x : x + _TILE]
