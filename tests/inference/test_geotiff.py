"""Masks with the georeference of their image, as `tifffile` and, where it is installed, `rasterio` read them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data.palette import default_palette
from lightseg.inference import geotiff as module
from lightseg.inference.geotiff import read_georeference, write_geotiff
from tests.data.fabricate import GEO_TAGS, geotiff, picture, raw_tags

CLASSES = np.random.default_rng(0).integers(0, 3, (700, 600), np.uint8)
CLASSES[:300, :300] = 255
SPLITS = [1, 200, 201, 460, 699]
"""Rows at which the mask is cut, as the windows of an image do."""


def _write(tmp_path, has_void=True, **options):
    source = geotiff(tmp_path / "image.tif", np.zeros((700, 600, 2), np.uint16), **options)
    rows = iter(np.split(CLASSES, SPLITS))
    georeference = read_georeference(source, None)
    write_geotiff(tmp_path / "mask.tif", rows, CLASSES.shape, default_palette(3), georeference, has_void)
    return source, tmp_path / "mask.tif"


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_write_geotiff__values_palette_and_tags(tmp_path, byteorder):
    source, mask = _write(tmp_path, byteorder=byteorder)
    assert len(raw_tags(source)) == 4
    assert raw_tags(mask) == raw_tags(source)
    with tifffile.TiffFile(mask) as file:
        page = file.pages[0]
        assert np.array_equal(page.asarray(), CLASSES)
        assert page.tags[42113].value == "255"
        assert page.colormap[:, 1].tolist() == [128 * 257, 0, 0]
        assert (page.is_tiled, page.compression.name, file.is_bigtiff) == (True, "ADOBE_DEFLATE", False)
        assert page.tags.get(305) is None
        scale, tie = page.tags[33550].value, page.tags[33922].value
        assert (scale[:2], tie[3:5]) == ((10, 10), (399960, 5000040))
    assert mask.stat().st_size < CLASSES.size / 2
    with Image.open(mask) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), CLASSES)


def test_write_geotiff__without_void_there_is_no_nodata_value(tmp_path):
    _, mask = _write(tmp_path, has_void=False)
    with tifffile.TiffFile(mask) as file:
        assert file.pages[0].tags.get(42113) is None


def test_write_geotiff__offsets_of_64_bits_where_32_may_not_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CLASSIC_BYTES", 700 * 600 - 1)
    _, mask = _write(tmp_path)
    with tifffile.TiffFile(mask) as file:
        assert file.is_bigtiff
        assert np.array_equal(file.asarray(), CLASSES)


def test_write_geotiff__rasterio_reads_it(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    source, mask = _write(tmp_path)
    with rasterio.open(source) as image, rasterio.open(mask) as result:
        assert (result.crs, result.transform, result.nodata) == (image.crs, image.transform, 255)
        assert np.array_equal(result.read(1), CLASSES)


def test_read_georeference__of_what_has_none(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "x.png")
    Image.fromarray(picture()).save(tmp_path / "x.tif")
    (tmp_path / "broken.tif").write_bytes(b"II*\0\1")
    for name in ("x.png", "x.tif", "broken.tif", "missing.tif"):
        assert read_georeference(tmp_path / name, None) is None
    # its mask is upright, and the tags are those of the turned pixels
    turned = [(274, "H", 1, 3, True)]
    tifffile.imwrite(tmp_path / "turned.tif", picture(), photometric="rgb", extratags=[*turned, *GEO_TAGS])
    assert read_georeference(tmp_path / "turned.tif", None) is None
