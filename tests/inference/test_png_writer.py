"""Palette PNGs, complete and interrupted."""

import numpy as np
import pytest
from PIL import Image

from lightseg.inference.png_writer import PalettePng


def test_palette_png__values_are_ids_and_colors_the_palette(tmp_path):
    ids = np.random.default_rng(0).integers(0, 3, (50, 31), np.uint8)
    with PalettePng(tmp_path / "x.png", (50, 31), [(1, 2, 3), (40, 50, 60), (7, 8, 9)]) as file:
        for rows in np.split(ids, [1, 20]):
            file.write(rows)
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), ids)
        assert image.getpalette()[:12] == [1, 2, 3, 40, 50, 60, 7, 8, 9, 255, 255, 255]


def test_palette_png__interrupted_file_is_no_image(tmp_path):
    def write():
        with PalettePng(tmp_path / "x.png", (2, 2), [(0, 0, 0)]) as file:
            file.write(np.zeros((1, 2), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    with pytest.raises(OSError), Image.open(tmp_path / "x.png") as image:
        image.load()
