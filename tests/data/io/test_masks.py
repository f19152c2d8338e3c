import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data.io.masks import read_mask
from lightseg.errors import DataError
from tests.data.fabricate import ids, picture, save, save_palette


@pytest.fixture
def rgb():
    return picture(3, 6, 9)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_read_mask__grey_values(tmp_path, suffix):
    mask = ids(values=(0, 3, 255))
    assert np.array_equal(read_mask(save(tmp_path / f"a.{suffix}", mask)), mask)


def test_read_mask__palette_gives_indices_or_colors(tmp_path):
    path = save_palette(tmp_path / "a.png", [[0, 1, 3]])
    assert read_mask(path).tolist() == [[0, 1, 3]]
    assert read_mask(path, as_color=True).tolist() == [[[0, 0, 0], [128, 0, 0], [128, 128, 0]]]


def test_read_mask__one_bit_is_0_and_1(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").tolist() == [[1, 0]]


@pytest.mark.parametrize("bits", [2, 4])
def test_read_mask__few_bits_are_not_stretched(tmp_path, bits):
    _write_grey_png(tmp_path / "a.png", [0, 1, 2, 3], bits)
    assert read_mask(tmp_path / "a.png").tolist() == [[0, 1, 2, 3]]


def test_read_mask__16_bit_and_numpy(tmp_path):
    mask = np.array([[0, 300, 65535]], np.uint16)
    assert read_mask(save(tmp_path / "a.png", mask)).tolist() == mask.tolist()
    np.save(tmp_path / "a.npy", mask.astype(np.int64))
    assert read_mask(tmp_path / "a.npy").tolist() == mask.tolist()
    np.save(tmp_path / "f.npy", np.array([[0.0, 2.0]]))
    assert read_mask(tmp_path / "f.npy").tolist() == [[0, 2]]
    np.save(tmp_path / "b.npy", np.array([[True, False]]))
    assert read_mask(tmp_path / "b.npy").tolist() == [[1, 0]]


def test_read_mask__alpha_is_dropped(tmp_path, rgb):
    assert np.array_equal(read_mask(save(tmp_path / "a.png", np.dstack([rgb, rgb[..., 0]]))), rgb)


@pytest.mark.parametrize("name", ["a.jpg", "disguised.png", "a.webp"])
def test_read_mask__lossy_is_refused(tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as file:
        Image.fromarray(ids()).save(file, "WEBP" if name.endswith("webp") else "JPEG")
    with pytest.raises(
        DataError, match=rf"{re.escape(name)}: this mask is a (JPEG|WEBP).*export the masks again as PNG"
    ):
        read_mask(path)


def test_read_mask__jpeg_inside_a_tiff_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), np.uint8), compression="jpeg")
    with pytest.raises(DataError, match=r"a\.tif: this mask is a JPEG-compressed TIFF"):
        read_mask(tmp_path / "a.tif")


def test_read_mask__fractions_and_odd_shapes_are_refused(tmp_path):
    np.save(tmp_path / "p.npy", np.array([[0.0, 0.37]]))
    with pytest.raises(DataError, match=r"p\.npy: holds 0\.37; a mask holds whole class ids"):
        read_mask(tmp_path / "p.npy")
    np.save(tmp_path / "onehot.npy", np.zeros((5, 8, 9), np.uint8))
    with pytest.raises(DataError, match=r"onehot\.npy: has the shape \(5, 8, 9\)"):
        read_mask(tmp_path / "onehot.npy")


def test_read_mask__broken_file_is_named(tmp_path):
    path = save(tmp_path / "a.png", ids(height=64, width=64))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"a\.png: this mask cannot be read, the file is broken or truncated"):
        read_mask(path)


def _write_grey_png(path, values, bits):
    """Write a PNG of one row with 2 or 4 bits per pixel, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packed = int("".join(f"{value:0{bits}b}" for value in values), 2).to_bytes(len(values) * bits // 8, "big")
    header = struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + packed)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
