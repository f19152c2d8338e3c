"""Masks of classes that may overlap: a PNG or GeoTIFF for each class, or one TIFF with a channel for each."""

from __future__ import annotations

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
from lightseg.inference.geotiff import Georeference, write_channels, write_geotiff
from lightseg.inference.mask_writer import Overlay, predict_rows
from lightseg.inference.png_writer import PalettePng

if TYPE_CHECKING:
    from lightseg.inference.inference_config import InferenceConfig
    from lightseg.inference.predictor import Predictor
    from lightseg.inference.readers import Source

_UNSAFE = re.compile(r"[^\w .()+-]")
"""Characters of a class name that a file name may not hold."""

_BLACK = (0, 0, 0)
"""Color of pixels without a class."""

_ROWS = 256
"""Rows that are read at once from the temporary file."""


@dataclass(frozen=True)
class ClassOutputs:
    """Output files of one image.

    Attributes:
        masks: Palette image of each class with the values 0 and 1, void where the image has no data; or one TIFF with a
            channel of them for each class.
        has_channels: Whether it is one TIFF.
        overlay: JPEG of the image under its classes, reduced to `LONGEST`; None: no overlay.
        probabilities: `.npy` of `(K, H, W)` float16; None: no probabilities.
        georeference: Georeference of the image, which its masks get as GeoTIFFs; None: a mask of one class is a PNG.
    """

    masks: tuple[Path, ...]
    has_channels: bool = False
    overlay: Path | None = None
    probabilities: Path | None = None
    georeference: Georeference | None = None

    @property
    def paths(self) -> list[Path]:
        """Return the files to write."""
        return [*self.masks, *(path for path in (self.overlay, self.probabilities) if path is not None)]


def file_names(classes: Sequence[str]) -> list[str]:
    """Return the part of a file name for each class: the class, or with its id where that would not do."""
    names = [_UNSAFE.sub("_", name) for name in classes]
    numbered = [f"{name}_{label}" for label, name in enumerate(names)]
    uses = Counter(name.casefold() for name in names)
    unique = [name if uses[name.casefold()] == 1 else with_id for name, with_id in zip(names, numbered, strict=True)]
    # a name with an id may be that of another class
    return unique if len({name.casefold() for name in unique}) == len(unique) else numbered


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
    overlay = Overlay(source)
    with ExitStack() as files:
        temporary = {path: files.enter_context(atomic_write(path)) for path in outputs.paths}
        masks = [temporary[path] for path in outputs.masks]
        is_png = outputs.georeference is None and not outputs.has_channels
        writer = (
            files.enter_context(_ClassPngs(masks, source.size, palette))
            if is_png
            else _Channels(files.enter_context(TemporaryFile(dir=masks[0].parent)), source.size)
        )
        probabilities = None if outputs.probabilities is None else temporary[outputs.probabilities]
        for rows in overlay.keep(predict_rows(task, source, protocol, batch, probabilities, progress)):
            writer.write(rows)
        if isinstance(writer, _Channels):
            _write_tiffs(masks, writer, outputs, palette, has_void=source.missing_strips is not None)
        if outputs.overlay is not None:
            overlay.write(temporary[outputs.overlay], palette)


def _write_tiffs(
    paths: Sequence[Path],
    channels: _Channels,
    outputs: ClassOutputs,
    palette: Sequence[tuple[int, int, int]],
    has_void: bool,
) -> None:
    """Write one TIFF of all channels, or a GeoTIFF of each."""
    labels, size, georeference = range(len(palette)), channels.size, outputs.georeference
    if outputs.has_channels:
        write_channels(paths[0], [channels.rows(label) for label in labels], size, georeference, has_void)
        return
    assert georeference is not None, "masks without a georeference are PNG files"
    for path, label in zip(paths, labels, strict=True):
        colors = [_BLACK, palette[label]]
        write_geotiff(path, channels.rows(label), size, colors, georeference, has_void)


class _ClassPngs(ExitStack):
    """Writer of a palette PNG for each class, row by row.

    Args:
        paths: The file of each class.
        size: Height and width.
        palette: One RGB color per class.
    """

    def __init__(self, paths: Sequence[Path], size: tuple[int, int], palette: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        colors = zip(paths, palette, strict=True)
        self._files = [self.enter_context(PalettePng(path, size, [_BLACK, color])) for path, color in colors]

    def write(self, rows: npt.NDArray[np.uint8]) -> None:
        """Append rows, `(K, n, W)`."""
        for file, channel in zip(self._files, rows, strict=True):
            file.write(channel)


class _Channels:
    """Rows of all classes in a temporary file, from which those of each class are read again.

    Args:
        file: The file.
        size: Height and width of the image.
    """

    def __init__(self, file: IO[bytes], size: tuple[int, int]) -> None:
        self._file, self.size, self._top = file, size, 0

    def write(self, rows: npt.NDArray[np.uint8]) -> None:
        """Append rows, `(K, n, W)`."""
        for label, channel in enumerate(rows):
            self._seek(label, self._top)
            self._file.write(channel.tobytes())
        self._top += rows.shape[1]

    def rows(self, label: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the rows of a class from top to bottom, `(n, W)`."""
        height, width = self.size
        for top in range(0, height, _ROWS):
            rows = min(_ROWS, height - top)
            self._seek(label, top)
            yield np.frombuffer(self._file.read(rows * width), np.uint8).reshape(rows, width)

    def _seek(self, label: int, top: int) -> None:
        height, width = self.size
        self._file.seek((label * height + top) * width)
