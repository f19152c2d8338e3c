"""Decoding of mask files to their values, with errors that name the file."""

from pathlib import Path

import numpy as np
from PIL import Image

from lightseg.data.io.images import apply_palette, name_file_in_errors, to_bytes
from lightseg.data.io.pillow_formats import FORMATS
from lightseg.data.io.pixels import decode, header_size
from lightseg.data.io.stored_pixels import Pixels
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.files.printable import format_count
from lightseg.labels import Color

_NEARLY_GRAY = 24
"""Greatest difference between the channels of a gray pixel after JPEG compression."""


class LossyMaskError(DataError):
    """Mask in a lossy format, which changes its values."""


def read_mask(path: Path | str, as_color: bool = False, channel: int | None = None, is_smooth: bool = False) -> Array:
    """Read one mask as its file values: `(H, W)` integers, or `(H, W, 3)` if the file holds colors.

    A palette file gives its indices, except a GIF, whose writers reorder them; a file of 1, 2 or 4 bits gives its
    stored numbers, from black at 0 to white; 16 bits are kept; alpha is dropped, unless it alone holds the label. The
    EXIF orientation is applied, as for images.

    Args:
        path: A PNG, TIFF, BMP, GIF, PBM, PGM, PPM or `.npy` file.
        as_color: Whether to return colors: the palette is looked up, gray is repeated.
        channel: Index of the channel that holds the values; -1 is the alpha; None: all channels.
        is_smooth: Whether values may be blurred, so that a lossy format is accepted.

    Returns:
        The values, `(H, W)` integer or `(H, W, 3)`.

    Raises:
        DataError: If the file is missing, broken, lossy, or no mask.
    """
    with name_file_in_errors(path, "mask"):
        pixels = decode(Path(path))
        _require_exact(path, pixels, is_smooth)
        if pixels.is_cmyk:
            raise DataError(f"{path}: a mask is gray, palette or RGB, not CMYK; save it as a PNG of class ids")
        if is_smooth and pixels.palette is not None:
            # a threshold applies to the gray that is displayed
            pixels = apply_palette(pixels)
        if is_smooth and 0 < pixels.white < 255:
            pixels = pixels._replace(array=to_bytes(pixels.array, pixels.white), white=255)
        if channel is not None:
            return _to_integers(path, _select_channel(path, pixels, channel))
        return _to_values(path, _drop_alpha(path, pixels, as_color), as_color)


def read_mask_channels(path: Path | str, channels: int, is_smooth: bool = False) -> Array:
    """Read one mask file with a channel, or a page of a TIFF, for each class as its file values `(H, W, C)` integer.

    Args:
        path: A TIFF, `.npy` or PNG file; a channel may be the first or the last axis.
        channels: Number of classes C.
        is_smooth: Whether values may be blurred, so that a lossy format is accepted.

    Raises:
        DataError: If the file is missing, broken, lossy, or has another number of channels.
    """
    with name_file_in_errors(path, "mask"):
        pixels = decode(Path(path), channels)
        _require_exact(path, pixels, is_smooth)
        if pixels.palette is not None or pixels.is_cmyk or pixels.has_alpha:
            raise DataError(
                f"{path}: has a palette, CMYK colors or alpha; save a mask of several classes as gray channels"
            )
        count = pixels.array.shape[2]
        if count != channels:
            raise DataError(
                f"{path}: has {format_count(count, 'channel')}, and there are {channels} classes; give it one for "
                "each class, in the order of data.classes"
            )
        if is_smooth and 0 < pixels.white < 255:
            return to_bytes(pixels.array, pixels.white)
        return _to_integers(path, pixels.array)


def mask_size(path: Path | str) -> tuple[int, int]:
    """Read height and width of `read_mask`'s result from the header only.

    Raises:
        DataError: If the header cannot be read, or is of several images.
    """
    with name_file_in_errors(path, "mask"):
        return header_size(Path(path), None)


def palette_colors(path: Path | str) -> list[Color] | None:
    """Return the palette of a palette file, else None; never raise, since error messages need it."""
    try:
        with Image.open(path, formats=(*FORMATS, "TIFF")) as image:
            flat = image.getpalette() if image.mode == "P" else None
    except (OSError, ValueError, SyntaxError):
        return None
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)] if flat else None


def to_8_bit_colors(path: Path | str, colors: Array) -> Array:
    """Convert colors `(H, W, 3)` to uint8.

    Raises:
        DataError: If they need more than 8 bits.
    """
    if colors.dtype == np.uint16 and not (colors % 257).any():
        return (colors // 257).astype(np.uint8)
    if colors.dtype != np.uint8:
        raise DataError(f"{path}: holds colors as {colors.dtype}; a mask of colors is RGB of 8 bits each")
    return colors


def to_gray(path: Path | str, mask: Array) -> Array:
    """Return the gray values `(H, W)` of a mask `(H, W)` or `(H, W, 3)`.

    Raises:
        DataError: If its colors differ from gray by more than lossy compression makes them.
    """
    if mask.ndim == 2:
        return mask
    if int(np.ptp(mask, axis=2).max()) > _NEARLY_GRAY:
        raise DataError(f"{path}: is colored, and data.threshold splits gray values; name one channel: mask_channel: 0")
    return mask[..., 1]


def _require_exact(path: Path | str, pixels: Pixels, is_smooth: bool) -> None:
    """Check that the values of a mask are those that were written.

    Raises:
        LossyMaskError: If it is compressed with loss, and values must not be blurred.
        DataError: If true is black.
    """
    if pixels.lossy and not is_smooth:
        raise _lossy_error(path, pixels.lossy)
    if pixels.is_negative:
        raise DataError(
            f"{path}: shows true as black, as tifffile writes booleans, so that either may be what is meant; save the "
            "mask as numbers, such as mask.astype(np.uint8)"
        )


def _select_channel(path: Path | str, pixels: Pixels, channel: int) -> Array:
    """Return one channel of a mask, `(H, W)`, after looking up the palette."""
    pixels = apply_palette(pixels) if pixels.palette is not None else pixels
    num_channels = pixels.array.shape[2]
    if channel == -1 and not pixels.has_alpha:
        raise DataError(f"{path}: has no alpha, and data.mask_channel is alpha; remove data.mask_channel")
    if channel >= num_channels:
        raise DataError(f"{path}: has {num_channels} channels, and data.mask_channel is {channel}; they count from 0")
    return pixels.array[..., channel]


def _drop_alpha(path: Path | str, pixels: Pixels, as_color: bool) -> Pixels:
    """Return the indices, values or colors of a mask without its alpha.

    Raises:
        DataError: If only the alpha varies.
    """
    if pixels.palette is not None:
        if not as_color:
            return pixels._replace(palette=None)
        pixels = apply_palette(pixels)
    if not pixels.has_alpha:
        return pixels
    colors, alpha = pixels.array[..., :-1], pixels.array[..., -1]
    if colors.size and (colors == colors[:1, :1]).all() and (alpha != alpha[0, 0]).any():
        raise DataError(
            f"{path}: its color is {colors[0, 0].tolist()} everywhere and only its alpha varies, so the label is in "
            "the alpha channel; add to data.init_args:  mask_channel: alpha"
        )
    return pixels._replace(array=colors, has_alpha=False)


def _to_values(path: Path | str, pixels: Pixels, as_color: bool) -> Array:
    array, white, channels = pixels.array, pixels.white, pixels.array.shape[2]
    if channels not in (1, 3):
        raise DataError(
            f"{path}: has the shape {array.shape} {array.dtype}; a mask is (H, W) ids or (H, W, 3) colors: "
            "name the channel that holds the ids, such as mask_channel: 0"
        )
    if channels == 3:
        array = to_bytes(array, white) if as_color and 0 < white < 255 else array
        return to_8_bit_colors(path, array) if as_color or array.dtype != np.uint16 else array
    if not as_color:
        return _to_integers(path, array[..., 0])
    if array.dtype != np.uint8:
        raise DataError(f"{path}: holds {array.dtype} ids, but only colors are declared; declare its values too")
    return np.repeat(to_bytes(array, white) if white < 255 else array, 3, axis=2)


def _to_integers(path: Path | str, mask: Array) -> Array:
    if mask.dtype.kind == "f":
        mask = _round_floats(path, mask)
    if mask.dtype.kind not in "ui":
        raise DataError(f"{path}: holds {mask.dtype} values; a mask holds whole class ids")
    return np.ascontiguousarray(mask)


def _lossy_error(path: Path | str, format_name: str) -> LossyMaskError:
    return LossyMaskError(
        f"{path}: this mask is a {format_name}, which blurs class ids into each other; "
        "export the masks again as PNG (converting this file cannot bring the ids back), or, where there are two "
        "classes, one dark and one bright, add to data.init_args:  threshold: 128"
    )


def _round_floats(path: Path | str, mask: Array) -> Array:
    """Convert floating-point class ids to integers.

    Raises:
        DataError: If a value is no integer.
    """
    ids = np.nan_to_num(mask, nan=-0.5).astype(np.int64)
    if not np.array_equal(ids, mask):
        example = mask[ids != mask][0]
        raise DataError(f"{path}: holds {example:g}; a mask holds whole class ids, not probabilities or NaN")
    return ids
