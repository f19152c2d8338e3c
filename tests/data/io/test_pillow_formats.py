"""Files that Pillow opens: palettes of BMP, and PNG files that are small for their size."""

import numpy as np
import pytest
from PIL import Image

from lightseg.data.io.images import image_size, read_image
from lightseg.data.io.masks import read_mask

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@pytest.mark.parametrize("colors", [(BLACK, WHITE), [(gray,) * 3 for gray in range(16)], (WHITE, BLACK)])
@pytest.mark.parametrize("bits", [8, 4, 1])
def test_bmp__is_read_by_its_bits_whatever_its_palette(tmp_path, colors, bits):
    if bits == 1 and len(colors) > 2:
        pytest.skip("one bit has two colors")
    mask = np.random.default_rng(0).integers(0, min(len(colors), 2), (7, 13)).astype(np.uint8)
    path = tmp_path / "x.bmp"
    path.write_bytes(_bmp(mask, colors, bits))
    assert np.array_equal(read_mask(path), mask)
    assert np.array_equal(read_image(path), np.array(colors, np.uint8)[mask])


def _bmp(mask, colors, bits):
    """Return a BMP as other programs than Pillow write it: any palette with any depth."""
    height, width = mask.shape
    rows = np.unpackbits(mask[..., None], axis=2, count=None)[..., 8 - bits :].reshape(height, -1)
    packed = np.packbits(rows, axis=1)[::-1]
    packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 4))).tobytes()
    palette = b"".join(bytes((*color[::-1], 0)) for color in colors)
    offset = 54 + len(palette)
    header = b"BM" + (offset + len(packed)).to_bytes(4, "little") + bytes(4) + offset.to_bytes(4, "little")
    sizes = [(40, 4), (width, 4), (height, 4), (1, 2), (bits, 2), (0, 4), (len(packed), 4), (0, 4), (0, 4)]
    sizes += [(len(colors), 4), (0, 4)]
    return header + b"".join(number.to_bytes(size, "little") for number, size in sizes) + palette + packed


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_png__all_black_is_read(tmp_path, mode):
    Image.new(mode, (2500, 3000)).save(tmp_path / "x.png", compress_level=9)
    assert image_size(tmp_path / "x.png") == (3000, 2500)
    assert not read_image(tmp_path / "x.png").any()
