"""Mask files as their file values, or an error that names the file."""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lightseg.data.images import as_rgb, by_suffix, load_array, look_up, naming_the_file, raw_mode
from lightseg.data.transforms import Array
from lightseg.errors import DataError
from lightseg.file_names import IMAGE_SUFFIXES

Color = tuple[int, int, int]

MASK_SUFFIXES = IMAGE_SUFFIXES
"""Lossy formats are among them, so that they are found and refused by name instead of reported as missing."""

_LOSSY = frozenset({"JPEG", "MPO", "WEBP"})
_LOSSY_TIFF = frozenset({6, 7, 33007, 34892})  # the compressions of a TIFF that are JPEG

_STRETCHED = {"L;2": 85, "L;4": 17}
"""By how much Pillow multiplies the values of 2- and 4-bit grey files, to fill 0..255."""


class LossyMaskError(DataError):
    """A mask in a format that changes its values."""


def read_mask(path: Path | str, as_color: bool = False) -> Array:
    """Read one mask as its file values: `(H, W)` integers, or `(H, W, 3)` uint8 if the file holds colours.

    A palette file gives its indices; a 1-bit file gives 0 and 1, a 2- or 4-bit one its own small numbers; alpha is
    dropped.

    Args:
        path: A PNG, TIFF, BMP, GIF or `.npy` file.
        as_color: Give colours where the file has any: look up the palette, repeat grey.

    Raises:
        DataError: If the file is missing, broken, lossy, or no mask.
    """
    with naming_the_file(path, "mask"):
        mask = by_suffix(path, lambda p: _pillow_mask(p, as_color), lambda p: _tiff_mask(p, as_color), load_array)
        return _checked_mask(path, mask, as_color)


def palette_colors(path: Path | str) -> list[Color] | None:
    """The palette of a palette file, else None; never raises, for it serves error messages."""
    try:
        with Image.open(path) as image:
            flat = image.getpalette() if image.mode == "P" else None
    except (OSError, ValueError, SyntaxError):
        return None
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)] if flat else None


def _pillow_mask(path: Path, as_color: bool) -> Array:
    with Image.open(path) as image:
        if image.format in _LOSSY:
            raise _lossy(path, str(image.format))
        if image.mode in ("RGB", "RGBA", "PA") or (as_color and image.mode == "P"):
            return np.array(as_rgb(image))
        if image.mode not in ("1", "L", "P", "I", "I;16", "LA"):
            raise DataError(f"{path}: a mask is grey, palette or RGB, not {image.mode}; save it as a PNG of class ids")
        stretched = _STRETCHED.get(raw_mode(image), 1)
        mask = np.array(image.getchannel("L") if image.mode == "LA" else image)
        return mask // stretched if stretched > 1 else mask


def _tiff_mask(path: Path, as_color: bool) -> Array:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if page.compression in _LOSSY_TIFF:
            raise _lossy(path, "JPEG-compressed TIFF")
        mask = file.series[0].asarray()
        if mask.ndim == 3 and file.series[0].axes.startswith("S"):
            mask = np.moveaxis(mask, 0, -1)
        return look_up(page.colormap, mask) if as_color and page.colormap is not None else mask


def _lossy(path: Path, format_name: str) -> LossyMaskError:
    return LossyMaskError(
        f"{path}: this mask is a {format_name}, which blurs class ids into each other; "
        "export the masks again as PNG (converting this file cannot bring the ids back)"
    )


def _checked_mask(path: Path | str, mask: Array, as_color: bool) -> Array:
    if mask.ndim == 3 and mask.shape[2] in (1, 4):
        mask = mask[..., 0] if mask.shape[2] == 1 else mask[..., :3]
    if mask.ndim != 2 and not (mask.ndim == 3 and mask.shape[2] == 3 and mask.dtype == np.uint8):
        raise DataError(f"{path}: has the shape {mask.shape} {mask.dtype}; a mask is (H, W) ids or (H, W, 3) uint8")
    if mask.dtype.kind == "f":
        mask = _whole(path, mask)
    if mask.dtype == np.bool_:
        mask = mask.astype(np.uint8)
    if as_color and mask.ndim == 2:
        if mask.dtype != np.uint8:
            raise DataError(f"{path}: holds {mask.dtype} ids, but only colors are declared; declare its values too")
        mask = np.repeat(mask[..., None], 3, axis=2)
    return mask


def _whole(path: Path | str, mask: Array) -> Array:
    ids = np.nan_to_num(mask, nan=-0.5).astype(np.int64)
    if not np.array_equal(ids, mask):
        example = mask[ids != mask][0]
        raise DataError(f"{path}: holds {example:g}; a mask holds whole class ids, not probabilities or NaN")
    return ids
