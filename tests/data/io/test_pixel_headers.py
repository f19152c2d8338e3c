"""Sizes that headers say, against what their files can hold; nothing that a decoder makes is refused."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data.io.images import image_size, read_image

SHAPE = 3000, 2500


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_png__that_is_all_black_is_read(tmp_path, mode):
    Image.new(mode, SHAPE[::-1]).save(tmp_path / "x.png", compress_level=9)
    assert image_size(tmp_path / "x.png") == SHAPE
    assert not read_image(tmp_path / "x.png").any()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_tiff__that_is_all_black_is_read(tmp_path, compression, dtype):
    options = {"photometric": "minisblack", "compression": compression}
    if dtype is bool and compression == "lzma":
        pytest.skip("tifffile does not write it")
    tifffile.imwrite(tmp_path / "x.tif", np.zeros(SHAPE, dtype), **options)
    assert image_size(tmp_path / "x.tif") == SHAPE
    assert not read_image(tmp_path / "x.tif").any()


def test_tiff__whose_tiles_are_left_out_is_read(tmp_path):
    options = {"photometric": "minisblack", "tile": (256, 256), "compression": "zlib"}
    tifffile.imwrite(tmp_path / "x.tif", np.zeros(SHAPE, np.uint8), **options)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as file:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = file.pages[0].tags[name]
            tag.overwrite((0,) * tag.count)
    assert image_size(tmp_path / "x.tif") == SHAPE
    assert not read_image(tmp_path / "x.tif").any()


def test_tiff__stack_of_bands_is_read(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (5, 30, 40), np.uint8)
    tifffile.imwrite(tmp_path / "pages.tif", bands, photometric="minisblack")
    tifffile.imwrite(tmp_path / "imagej.tif", bands, imagej=True)
    for name in ("pages", "imagej"):
        assert np.array_equal(read_image(tmp_path / f"{name}.tif", 5), np.moveaxis(bands, 0, -1))
