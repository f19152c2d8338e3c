"""Mask files as their file values, or an error that names the file."""

from pathlib import Path

import numpy as np
from PIL import Image

from lightseg.data.io.images import in_colors, naming_the_file, to_bytes
from lightseg.data.io.pixels import FORMATS, Pixels, decode
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.files.names import IMAGE_SUFFIXES

Color = tuple[int, int, int]

MASK_SUFFIXES = IMAGE_SUFFIXES
"""Lossy formats are among them, so that they are found and refused by name instead of reported as missing."""


_NEARLY_GRAY = 24
"""Greatest difference of the channels of a pixel that a JPEG makes of grey."""


class LossyMaskError(DataError):
    """Error for a mask in a format that changes its values."""


def read_mask(path: Path | str, as_color: bool = False, channel: int | None = None, is_smooth: bool = False) -> Array:
    """Read one mask as its file values: `(H, W)` integers, or `(H, W, 3)` if the file holds colours.

    A palette file gives its indices, but for a GIF, whose writers reorder them; a file of 1, 2 or 4 bits its own small
    numbers, from black at 0 to white; 16 bits are kept; alpha is dropped, unless the label is in it alone. A mask is
    turned as its EXIF orientation says, as an image is.

    Args:
        path: A PNG, TIFF, BMP, GIF, PBM, PGM, PPM or `.npy` file.
        as_color: Give colours where the file has any: look up the palette, repeat grey.
        channel: Which channel holds the values, from 0 on, or from the last, -1, on; None: all of them.
        is_smooth: Whether values may be blurred, so that a lossy format will do.

    Raises:
        DataError: If the file is missing, broken, lossy, or no mask.
    """
    with naming_the_file(path, "mask"):
        pixels = decode(Path(path))
        if pixels.lossy and not is_smooth:
            raise _lossy(path, pixels.lossy)
        if pixels.inks:
            raise DataError(f"{path}: a mask is grey, palette or RGB, not CMYK; save it as a PNG of class ids")
        if is_smooth and pixels.palette is not None:
            # a threshold is one of what is seen
            pixels = in_colors(pixels)
        if is_smooth and 0 < pixels.white < 255:
            pixels = pixels._replace(array=to_bytes(pixels.array, pixels.white), white=255)
        if channel is not None:
            return _integers(path, _channel(path, pixels, channel))
        return _values(path, _without_alpha(path, pixels, as_color), as_color)


def palette_colors(path: Path | str) -> list[Color] | None:
    """Return the palette of a palette file, else None; never raises, for it serves error messages."""
    try:
        with Image.open(path, formats=(*FORMATS, "TIFF")) as image:
            flat = image.getpalette() if image.mode == "P" else None
    except (OSError, ValueError, SyntaxError):
        return None
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)] if flat else None


def bytes_of_colors(path: Path | str, colors: Array) -> Array:
    """Colours `(H, W, 3)` as uint8.

    Raises:
        DataError: If they hold more than 8 bits.
    """
    if colors.dtype == np.uint16 and not (colors % 257).any():
        return (colors // 257).astype(np.uint8)
    if colors.dtype != np.uint8:
        raise DataError(f"{path}: holds colours as {colors.dtype}; a mask of colours is RGB of 8 bits each")
    return colors


def as_gray(path: Path | str, mask: Array) -> Array:
    """Values `(H, W)` of a mask whose colours are grey, but for what a lossy format makes of it.

    Raises:
        DataError: If it has other colours.
    """
    if mask.ndim == 2:
        return mask
    if int(np.ptp(mask, axis=2).max()) > _NEARLY_GRAY:
        raise DataError(f"{path}: is colored, and data.threshold splits grey values; name one channel: mask_channel: 0")
    return mask[..., 1]


def _channel(path: Path | str, pixels: Pixels, channel: int) -> Array:
    """Return one channel of a mask; a palette is looked up for its alpha alone."""
    pixels = in_colors(pixels) if pixels.palette is not None else pixels
    have = pixels.array.shape[2]
    if channel == -1 and not pixels.has_alpha:
        raise DataError(f"{path}: has no alpha, and data.mask_channel is alpha; remove data.mask_channel")
    if channel >= have:
        raise DataError(f"{path}: has {have} channels, and data.mask_channel is {channel}; they count from 0")
    return pixels.array[..., channel]


def _without_alpha(path: Path | str, pixels: Pixels, as_color: bool) -> Pixels:
    if pixels.palette is not None:
        if not as_color:
            return pixels._replace(palette=None)
        pixels = in_colors(pixels)
    if not pixels.has_alpha:
        return pixels
    colors, alpha = pixels.array[..., :-1], pixels.array[..., -1]
    if colors.size and (colors == colors[:1, :1]).all() and (alpha != alpha[0, 0]).any():
        raise DataError(
            f"{path}: its colour is {colors[0, 0].tolist()} everywhere and only its alpha varies, so the label is in "
            "the alpha channel; add to data.init_args:  mask_channel: alpha"
        )
    return pixels._replace(array=colors, has_alpha=False)


def _values(path: Path | str, pixels: Pixels, as_color: bool) -> Array:
    array, white, channels = pixels.array, pixels.white, pixels.array.shape[2]
    if channels not in (1, 3):
        raise DataError(
            f"{path}: has the shape {array.shape} {array.dtype}; a mask is (H, W) ids or (H, W, 3) colours: "
            "name the channel that holds the ids, such as mask_channel: 0"
        )
    if channels == 3:
        array = to_bytes(array, white) if as_color and 0 < white < 255 else array
        return bytes_of_colors(path, array) if as_color or array.dtype != np.uint16 else array
    if not as_color:
        return _integers(path, array[..., 0])
    if array.dtype != np.uint8:
        raise DataError(f"{path}: holds {array.dtype} ids, but only colors are declared; declare its values too")
    return np.repeat(to_bytes(array, white) if white < 255 else array, 3, axis=2)


def _integers(path: Path | str, mask: Array) -> Array:
    if mask.dtype.kind == "f":
        mask = _whole(path, mask)
    if mask.dtype.kind not in "ui":
        raise DataError(f"{path}: holds {mask.dtype} values; a mask holds whole class ids")
    return np.ascontiguousarray(mask)


def _lossy(path: Path | str, format_name: str) -> LossyMaskError:
    return LossyMaskError(
        f"{path}: this mask is a {format_name}, which blurs class ids into each other; "
        "export the masks again as PNG (converting this file cannot bring the ids back), or, where there are two "
        "classes, one dark and one bright, add to data.init_args:  threshold: 128"
    )


def _whole(path: Path | str, mask: Array) -> Array:
    ids = np.nan_to_num(mask, nan=-0.5).astype(np.int64)
    if not np.array_equal(ids, mask):
        example = mask[ids != mask][0]
        raise DataError(f"{path}: holds {example:g}; a mask holds whole class ids, not probabilities or NaN")
    return ids
