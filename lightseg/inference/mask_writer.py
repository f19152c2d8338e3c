"""Output files of a segmentation, written during the prediction, one row of windows at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from lightseg.data.io.images import visible
from lightseg.data.types import Array
from lightseg.files.atomic import atomic_write
from lightseg.inference.geotiff import Georeference, write_geotiff
from lightseg.inference.png_writer import PalettePng
from lightseg.inference.readers import StripReader
from lightseg.labels import IGNORE, Color
from lightseg.visualization.figures import colorize

if TYPE_CHECKING:
    from lightseg.inference.inference_config import InferenceConfig
    from lightseg.inference.predictor import Predictor
    from lightseg.inference.readers import Source

LONGEST = 2048
"""Largest length of the longer side of an overlay, in pixels."""


@dataclass(frozen=True)
class Outputs:
    """Output files of one image.

    Attributes:
        mask: Palette image whose values are class ids, void where the image has no data: a PNG, or a GeoTIFF.
        overlay: JPEG of the image under its classes, reduced to `LONGEST`; None: no overlay.
        probabilities: `.npy` of `(K, H, W)` float16; None: no probabilities.
        georeference: Georeference of the image, which its mask gets as a GeoTIFF; None: the mask is a PNG.
    """

    mask: Path
    overlay: Path | None = None
    probabilities: Path | None = None
    georeference: Georeference | None = None

    @property
    def paths(self) -> list[Path]:
        """Return the files to write."""
        return [path for path in (self.mask, self.overlay, self.probabilities) if path is not None]


def write_masks(
    task: Predictor,
    source: Source,
    protocol: InferenceConfig,
    outputs: Outputs,
    palette: Sequence[Color],
    batch: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Predict an image and write its files, each atomically; under windows, in bounded memory.

    Args:
        task: The task.
        source: The image.
        protocol: Windows and test-time augmentation.
        outputs: The files.
        palette: One RGB color per class.
        batch: Number of windows in one forward pass; see `windows.slide`.
        progress: Called with the completed share of the image, 0 to 1, after each row of windows.
    """
    overlay = Overlay(source)
    with ExitStack() as files:
        temporary = {path: files.enter_context(atomic_write(path)) for path in outputs.paths}
        mask = temporary[outputs.mask]
        probabilities = None if outputs.probabilities is None else temporary[outputs.probabilities]
        rows = overlay.keep(predict_rows(task, source, protocol, batch, probabilities, progress))
        if outputs.georeference is None:
            with PalettePng(mask, source.size, palette) as png:
                for block in rows:
                    png.write(block)
        else:
            write_geotiff(
                mask, rows, source.size, palette, outputs.georeference, has_void=source.missing_strips is not None
            )
        if outputs.overlay is not None:
            overlay.write(temporary[outputs.overlay], palette)


def predict_rows(
    task: Predictor,
    source: Source,
    protocol: InferenceConfig,
    batch: int | None,
    probabilities: Path | None,
    progress: Callable[[float], None] | None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the prediction of an image from top to bottom, and write its probabilities to a file.

    The caller must not change an array after it asked for the next one.

    Args:
        task: The task.
        source: The image.
        protocol: Windows and test-time augmentation.
        batch: Number of windows in one forward pass; see `windows.slide`.
        probabilities: The `.npy` file; None: no probabilities.
        progress: Called with the completed share of the image, 0 to 1, when the caller asks for the next rows.

    Yields:
        Class ids `(n, W)`, or of classes that may overlap 0 and 1 `(K, n, W)`; void where the image has no data.
    """
    width, temperature = source.size[1], task.temperature_under(protocol)
    missing_pixels = None if source.missing_strips is None else StripReader(source.missing_strips())
    rows: npt.NDArray[np.uint8] | None = None
    for top, x, block in task.predict_blocks(source, protocol, batch):
        part = task.decide_block(block)
        if rows is None or rows.shape[-2] != part.shape[-2]:
            rows = np.empty((*part.shape[:-1], width), np.uint8)
        rows[..., x : x + part.shape[-1]] = part
        if probabilities is not None:
            _write_probabilities(probabilities, source.size, top, x, task.probabilities(block / temperature, 0))
        if x + part.shape[-1] == width:
            if missing_pixels is not None:
                rows[..., np.concatenate(list(missing_pixels.read(top + rows.shape[-2])))] = IGNORE
            yield rows
            if progress is not None:
                progress((top + rows.shape[-2]) / source.size[0])


def _write_probabilities(path: Path, size: tuple[int, int], top: int, x: int, block: Tensor) -> None:
    classes, height, width = block.shape
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", np.float16, (classes, *size))
        # a full disk raises an error here; later, a write to the mapped file would kill the process
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    # mapped anew for each block, since a mapping keeps its written pages in memory
    probabilities = np.lib.format.open_memmap(path, "r+")
    probabilities[:, top : top + height, x : x + width] = block.half().cpu().numpy()


class Overlay:
    """Picture of an image under its classes, reduced to `LONGEST` by leaving out rows and columns of both.

    Args:
        source: The image.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._step = source, math.ceil(max(source.size) / LONGEST)
        self._rows: list[npt.NDArray[np.uint8]] = []

    def keep(self, rows: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the rows of a prediction from top to bottom, `(n, W)` or `(K, n, W)`, and keep some of their pixels."""
        for block, reduced in _thin(rows, self._step):
            self._rows.append(reduced.copy())
            yield block

    def write(self, path: Path, palette: Sequence[Color]) -> None:
        """Write the image, blended equally with the colors of its classes, as a JPEG; one color per class."""
        # channels first, as in a prediction
        strips = (np.moveaxis(strip, -1, 0) for strip in self._source.strips())
        parts = [np.moveaxis(reduced, 0, -1).copy() for _, reduced in _thin(strips, self._step)]
        image, colors = visible(np.concatenate(parts)), colorize(np.concatenate(self._rows, axis=-2), palette)
        Image.fromarray(((image.astype(np.uint16) + colors) // 2).astype(np.uint8)).save(path, "JPEG", quality=90)


def _thin(blocks: Iterable[Array], step: int) -> Iterator[tuple[Array, Array]]:
    """Yield the blocks of rows of an image, `(…, n, W)`, each with every `step`-th of its rows and columns."""
    top = 0
    for block in blocks:
        yield block, block[..., -top % step :: step, ::step]
        top += block.shape[-2]
