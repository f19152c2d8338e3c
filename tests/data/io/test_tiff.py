"""TIFF files: palettes, stacks of bands, and files that are small for their size, which are read all the same."""

import numpy as np
import pytest
import tifffile

from lightseg.data.io.images import image_size, read_image
from tests.data.datasets.mask_folder_case import sample

SHAPE = 3000, 2500


def test_tiff__palette_of_8_bits(tmp_path):
    mask, colors = sample(0)[1], np.zeros((3, 256), np.uint16)
    colors[:, 1] = (200, 100, 50)
    tifffile.imwrite(tmp_path / "x.tif", mask, photometric="palette", colormap=colors)
    assert read_image(tmp_path / "x.tif")[mask == 1][0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_tiff__all_black_is_read(tmp_path, compression, dtype):
    options = {"photometric": "minisblack", "compression": compression}
    if dtype is bool and compression == "lzma":
        pytest.skip("tifffile does not write it")
    tifffile.imwrite(tmp_path / "x.tif", np.zeros(SHAPE, dtype), **options)
    assert image_size(tmp_path / "x.tif") == SHAPE
    assert not read_image(tmp_path / "x.tif").any()


def test_tiff__without_tiles_is_read(tmp_path):
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
