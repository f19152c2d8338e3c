"""Output files of a segmentation, written during the prediction, one row of windows at a time."""

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
"""Largest length of the longer side of an overlay, in pixels."""


@dataclass(frozen=True)
class Outputs:
    """Output files of one image.

    Attributes:
        mask: Palette PNG whose values are class ids.
        overlay: JPEG of the image under its classes, reduced to `LONGEST`; None: no overlay.
        probabilities: `.npy` of `(K, H, W)` float16; None: no probabilities.
    """

    mask: Path
    overlay: Path | None = None
    probabilities: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Return the files to write."""
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
    (height, width), temperature = source.size, task.temperature_under(protocol)
    step = math.ceil(max(height, width) / LONGEST)
    reduced: list[npt.NDArray[np.uint8]] = []
    with ExitStack() as files:
        temporary = [files.enter_context(atomic_write(path)) for path in outputs.paths]
        mask = files.enter_context(PalettePng(temporary[0], source.size, palette))
        rows: npt.NDArray[np.uint8] | None = None
        for top, x, block in task.predict_blocks(source, protocol, batch):
            if rows is None or len(rows) != block.shape[1]:
                rows = np.empty((block.shape[1], width), np.uint8)
            rows[:, x : x + block.shape[2]] = most_likely(block)
            if outputs.probabilities is not None:
                write_probabilities(temporary[-1], source.size, top, x, task.probabilities(block / temperature, 0))
            if x + block.shape[2] == width:
                mask.write(rows)
                reduced.append(rows[-top % step :: step, ::step].copy())
                if progress is not None:
                    progress((top + len(rows)) / height)
        if outputs.overlay is not None:
            picture = blend(source, step, np.asarray(palette, np.uint8)[np.concatenate(reduced)])
            picture.save(temporary[1], "JPEG", quality=90)


def write_probabilities(path: Path, size: tuple[int, int], top: int, x: int, block: Tensor) -> None:
    """Write a block of probabilities into a file for those of the whole image, which the first block creates.

    Args:
        path: The `.npy` file.
        size: Height and width of the image.
        top: First row of the block.
        x: First column of the block.
        block: Probabilities, `(K, h, w)`.
    """
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


def blend(source: Source, step: int, colors: npt.NDArray[np.uint8]) -> Image.Image:
    """Blend every `step`-th pixel of the image equally with its color.

    Args:
        source: The image.
        step: Distance of the pixels.
        colors: Color of each of these pixels, `(h, w, 3)`.
    """
    parts, top = [], 0
    for strip in source.strips():
        parts.append(strip[-top % step :: step, ::step].copy())
        top += len(strip)
    image = visible(np.concatenate(parts))
    return Image.fromarray(((image.astype(np.uint16) + colors) // 2).astype(np.uint8))
