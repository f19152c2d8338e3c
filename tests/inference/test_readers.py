"""Images read in strips equal those of `read_image`."""

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from lightseg.data.io.image_values import ImageValues
from lightseg.data.io.images import read_image, read_image_and_missing
from lightseg.errors import DataError
from lightseg.inference import png_writer, readers
from lightseg.inference.readers import RowReader, StripReader, source_from_array, source_from_file

PIXELS = np.random.default_rng(0).integers(0, 256, (97, 131, 3), np.uint8)
# equal rows, for which the encoder chooses a PNG filter
PIXELS[20:60] = PIXELS[20]
GRAY, ALPHA, DEEP = PIXELS[..., 0], np.dstack([PIXELS, PIXELS[..., :1]]), PIXELS.astype(np.uint16) * 200


def _pillow(array, **options):
    return lambda path: Image.fromarray(array).save(path, **options)


def _rotated(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _pillow(PIXELS, exif=exif)


def _tiff(array, **options):
    return lambda path: tifffile.imwrite(path, array, **options)


FILES = {
    "rgb.png": _pillow(PIXELS),
    "gray.png": _pillow(GRAY),
    "rgba.png": _pillow(ALPHA),
    "gray_alpha.png": _pillow(PIXELS[..., :2]),
    "palette.png": lambda path: Image.fromarray(PIXELS).quantize(200).save(path),
    "four_bits.png": lambda path: Image.fromarray(PIXELS).quantize(5).save(path, bits=4),
    "one_bit.png": _pillow(GRAY > 99),
    "deep.png": lambda path: cv2.imwrite(str(path), DEEP),
    "deep_gray.png": _pillow(DEEP[..., 0]),
    "rgb.jpg": _pillow(PIXELS),
    "progressive.jpg": _pillow(PIXELS, progressive=True, quality=50, subsampling=1),
    "gray.jpg": _pillow(GRAY),
    "cmyk.jpg": lambda path: Image.fromarray(PIXELS).convert("CMYK").save(path),
    **{f"rotated_{orientation}.jpg": _rotated(orientation) for orientation in range(1, 9)},
    "rgb.webp": _pillow(PIXELS),
    "tiles.tif": _tiff(PIXELS, tile=(32, 48), compression="deflate", predictor=True, photometric="rgb"),
    "strips.tif": _tiff(PIXELS, rowsperstrip=7, compression="lzw", photometric="rgb"),
    "plain.tif": _tiff(PIXELS, photometric="rgb"),
    "planar.tif": _tiff(np.moveaxis(PIXELS, -1, 0), photometric="rgb", planarconfig="separate", compression="lzw"),
    "alpha.tif": _tiff(ALPHA, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16)),
    "white_is_0.tif": _tiff(GRAY, photometric="miniswhite", compression="deflate", rowsperstrip=9),
    "bits.tif": _tiff(GRAY > 99, photometric="miniswhite"),
    "palette.tif": lambda path: Image.fromarray(PIXELS).quantize(99).save(path),
    "jpeg.tif": _tiff(PIXELS, tile=(32, 32), compression="jpeg", photometric="ycbcr"),
    "big_endian.tif": _tiff(DEEP, photometric="rgb", byteorder=">"),
    "float.tif": _tiff(PIXELS.astype(np.float32) / 255, compression="deflate", rowsperstrip=8, photometric="rgb"),
    "last.npy": lambda path: np.save(path, PIXELS),
    "first.npy": lambda path: np.save(path, np.moveaxis(PIXELS, -1, 0)),
    "gray.npy": lambda path: np.save(path, GRAY),
}


BANDS = np.random.default_rng(1).integers(0, 4000, (12, 97, 131)).astype(np.uint16)
# no tile of any band has data
BANDS[:, :32, :48] = 0
LAYOUTS = {
    "pixels.tif": _tiff(np.moveaxis(BANDS, 0, -1), photometric="minisblack", planarconfig="contig", tile=(32, 48)),
    "pixels_plain.tif": _tiff(np.moveaxis(BANDS, 0, -1), photometric="minisblack", planarconfig="contig"),
    "planes.tif": _tiff(BANDS, photometric="minisblack", planarconfig="separate", tile=(32, 48), compression="zlib"),
    "planes_strips.tif": _tiff(
        BANDS, photometric="minisblack", planarconfig="separate", rowsperstrip=10, compression="lzw", predictor=True
    ),
    "planes_plain.tif": _tiff(BANDS, photometric="minisblack", planarconfig="separate", byteorder=">"),
    "pages.tif": _tiff(BANDS, photometric="minisblack", compression="zlib", rowsperstrip=10),
    "pages_plain.tif": _tiff(BANDS, photometric="minisblack"),
    "first.npy": lambda path: np.save(path, BANDS),
}


@pytest.fixture
def all_images_are_large(monkeypatch):
    monkeypatch.setattr(readers, "LARGE", 0)
    monkeypatch.setattr(readers, "_STRIP", 5000)
    monkeypatch.setattr(png_writer, "_GROUP", 7000)


def _message(call):
    try:
        call()
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.usefixtures("all_images_are_large")
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", FILES)
def test_source_from_file__strips_equal_read_image(tmp_path, name, channels):
    FILES[name](tmp_path / name)
    if message := _message(lambda: read_image(tmp_path / name, channels)):
        assert _message(lambda: source_from_file(tmp_path / name, channels).to_array()) == message
        return
    expected = read_image(tmp_path / name, channels)
    source = source_from_file(tmp_path / name, channels)
    assert len(list(source.strips())) > 1
    assert source.size == expected.shape[:2]
    assert source.to_array().dtype == expected.dtype
    assert np.array_equal(source.to_array(), expected)


@pytest.mark.usefixtures("all_images_are_large")
@pytest.mark.parametrize(
    "name", ["rgb.png", "palette.png", "rgb.jpg", "tiles.tif", "strips.tif", "plain.tif", "last.npy"]
)
def test_source_from_file__truncated_file_is_named(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=f"{name}: this image cannot be read"):
        source_from_file(path, 3).to_array()


@pytest.mark.usefixtures("all_images_are_large")
def test_source_from_file__page_of_a_tiff(tmp_path):
    path = tmp_path / "pages.tif"
    pages = np.stack([PIXELS, PIXELS[::-1], PIXELS // 2])
    tifffile.imwrite(path, pages, photometric="rgb", compression="deflate", rowsperstrip=10)
    for number, page in enumerate(pages):
        assert np.array_equal(source_from_file(path, 3, number).to_array(), page)
        assert np.array_equal(read_image(path, 3, number), page)


@pytest.mark.usefixtures("all_images_are_large")
@pytest.mark.parametrize("bands", [None, (4, 3, 12)])
@pytest.mark.parametrize("name", LAYOUTS)
def test_source_from_file__bands_of_any_layout_in_strips(tmp_path, monkeypatch, name, bands):
    LAYOUTS[name](tmp_path / name)
    channels = 12 if bands is None else len(bands)
    values = ImageValues(((0, 4000),), 0.0, bands, (0.5,) * channels)
    expected, missing = read_image_and_missing(tmp_path / name, channels, values=values)
    assert missing[:32, :48].all()

    def refuse(*_):
        raise AssertionError("the whole image is read")

    monkeypatch.setattr(readers, "decode", refuse)
    source = source_from_file(tmp_path / name, channels, values=values)
    assert len(list(source.strips())) > 1
    assert np.array_equal(source.to_array(), expected)
    assert np.array_equal(np.concatenate(list(source.missing_strips())), missing)


def test_strip_reader__parts_end_at_any_row():
    parts = StripReader(iter(np.split(PIXELS, [1, 2, 40, 90])))
    for last, expected in ((30, PIXELS[:30]), (30, PIXELS[30:30]), (31, PIXELS[30:31]), (97, PIXELS[31:])):
        assert np.array_equal(np.concatenate([expected[:0], *parts.read(last)]), expected)


def test_rows__overlapping_rows_of_any_strips():
    source = source_from_array(PIXELS, "x")
    parts = np.split(PIXELS, [1, 2, 40, 90])
    for strips in (source.strips, lambda: iter(parts)):
        rows = RowReader(readers.Source("x", (97, 131), strips), torch.device("cpu"))
        for first, last in ((0, 30), (20, 50), (20, 60), (60, 61), (67, 97)):
            assert np.array_equal(rows(first, last), PIXELS[first:last].transpose(2, 0, 1))
