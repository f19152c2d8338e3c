"""Files that a segmentation leaves of an image, written while it is predicted, row by row of windows."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from lightseg.data.io.images import visible
from lightseg.files.atomic import atomic_write
from lightseg.inference.png_writer import PalettePng
from lightseg.inference.windows import most_likely

if TYPE_CHECKING:
    from lightseg.inference.inference_config import InferenceConfig
    from lightseg.inference.predictor import Predictor
    from lightseg.inference.readers import Source

LONGEST = 2048
"""Pixels of the longer side that an overlay has at most."""


@dataclass(frozen=True)
class Outputs:
    """Files of one image.

    Attributes:
        mask: Palette PNG whose values are class ids.
        overlay: JPEG of the image under its classes, shrunk to `LONGEST`; None: not wanted.
        probabilities: `.npy` of `(K, H, W)` float16; None: not wanted.
    """

    mask: Path
    overlay: Path | None = None
    probabilities: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Those that are wanted."""
        return [path for path in (self.mask, self.overlay, self.probabilities) if path is not None]


def write_masks(
    task: Predictor,
    source: Source,
    protocol: InferenceConfig,
    outputs: Outputs,
    palette: Sequence[Sequence[int]],
    batch: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Predict an image and write its files, each whole or not at all; under windows, in bounded memory.

    Args:
        task: The task.
        source: The image.
        protocol: How the net is asked.
        outputs: The files.
        palette: One RGB colour per class.
        batch: Windows that go through the net at once; see `windows.slide`.
        progress: Told the share of the image that is done, whenever there is more.
    """
    (height, width), temperature = source.size, task.temperature_under(protocol)
    step = math.ceil(max(height, width) / LONGEST)
    shrunk: list[npt.NDArray[np.uint8]] = []
    with ExitStack() as files:
        temporary = [files.enter_context(atomic_write(path)) for path in outputs.paths]
        mask = files.enter_context(PalettePng(temporary[0], source.size, palette))
        rows: npt.NDArray[np.uint8] | None = None
        for top, left, block in task.predict_blocks(source, protocol, batch):
            if rows is None or len(rows) != block.shape[1]:
                rows = np.empty((block.shape[1], width), np.uint8)
            rows[:, left : left + block.shape[2]] = most_likely(block)
            if outputs.probabilities is not None:
                _write_probabilities(temporary[-1], source.size, top, left, (block / temperature).softmax(0))
            if left + block.shape[2] == width:
                mask.write(rows)
                shrunk.append(rows[-top % step :: step, ::step].copy())
                if progress is not None:
                    progress((top + len(rows)) / height)
        if outputs.overlay is not None:
            _overlay(source, step, np.concatenate(shrunk), palette).save(temporary[1], "JPEG", quality=90)


def _write_probabilities(path: Path, size: tuple[int, int], top: int, left: int, block: Tensor) -> None:
    classes, height, width = block.shape
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", np.float16, (classes, *size))
        # a full disk is an error here; when a mapped file is written to, it ends the process
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    # mapped anew for each block, or all that was written would stay in memory
    array = np.lib.format.open_memmap(path, "r+")
    array[:, top : top + height, left : left + width] = block.half().cpu().numpy()


def _overlay(
    source: Source, step: int, classes: npt.NDArray[np.uint8], palette: Sequence[Sequence[int]]
) -> Image.Image:
    """Every so many pixels of the image, each half its own colour and half that of its class."""
    parts, top = [], 0
    for strip in source.strips():
        parts.append(strip[-top % step :: step, ::step].copy())
        top += len(strip)
    image, colors = visible(np.concatenate(parts)), np.asarray(palette, np.uint8)[classes]
    return Image.fromarray(((image.astype(np.uint16) + colors) // 2).astype(np.uint8))
