"""Stored pixels: orientation, order of the axes, and colors of four inks."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from lightseg.data.io.stored_pixels import channels_last, cmyk_to_rgb, height_and_width, turn
from lightseg.errors import DataError


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turn__is_that_of_pillow(orientation):
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    image = Image.fromarray(array)
    image.getexif()[0x0112] = orientation
    assert np.array_equal(turn(array, orientation), np.array(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize(
    ("shape", "axes", "channels", "size"),
    [
        ((7, 9), "", 1, (7, 9)),
        ((3, 7, 9), "SYX", 5, (7, 9)),
        ((3, 7, 9), "YXS", 5, (3, 7)),
        ((3, 7, 9), "", 3, (7, 9)),
        ((7, 9, 3), "", 3, (7, 9)),
        ((3, 7, 3), "", 3, (7, 3)),
        # of an unknown number, the channels are the shorter axis
        ((4, 7, 9), "", 0, (7, 9)),
        ((7, 9, 4), "", 0, (7, 9)),
        # a mask has its channels last
        ((3, 7, 9), "", None, (3, 7)),
    ],
)
def test_channels_last__by_axes_or_number(shape, axes, channels, size, tmp_path):
    assert height_and_width(shape, axes, channels) == size
    assert channels_last(tmp_path, np.zeros(shape), axes, channels).shape[:2] == size


@pytest.mark.parametrize("shape", [(7,), (1, 2, 3, 4)])
def test_channels_last__of_no_image_is_refused(shape, tmp_path):
    with pytest.raises(DataError, match="an image is"):
        channels_last(tmp_path, np.zeros(shape), "", 3)


def test_cmyk_to_rgb__is_that_of_pillow_in_8_bits_and_has_no_overflow_in_16():
    inks = np.random.default_rng(0).integers(0, 256, (4, 6, 4), np.uint8)
    expected = np.array(Image.fromarray(inks, "CMYK").convert("RGB")).astype(int)
    assert np.abs(cmyk_to_rgb(inks, 255) - expected).max() <= 1
    deep = cmyk_to_rgb(inks.astype(np.uint16) * 257, 65535)
    assert np.abs(deep / 257 - expected).max() < 1.5
