"""Masks and folders that could be read in two ways: refused with the line that says which, never guessed."""

import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data.io.images import read_image
from lightseg.data.io.masks import read_mask
from lightseg.errors import DataError
from tests.data.test_cases import COUNT, Case, sample


@pytest.fixture
def case(tmp_path, fit):
    return Case(tmp_path, fit)


def paletted(mask, *colors):
    image = Image.fromarray(mask, "P")
    image.putpalette([part for color in colors for part in color])
    return image


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


def test_palettes__in_another_order_are_no_ids(case):
    def write(path, mask, index):
        image = paletted(mask, BLACK, RED) if index % 2 else paletted(1 - mask, RED, BLACK)
        image.save(path)

    case.masks(".png", write)
    said = case.refused()
    assert "of its palette is [" in said
    assert "colors: {class: [" in said
    case.reads_as_plain(colors={"background": [0, 0, 0], "object": [255, 0, 0]})


def test_palettes__that_differ_are_ids_if_values_say_so(case):
    def write(path, mask, index):
        paletted(mask, BLACK, (255, 9 * index, 0)).save(path)

    case.masks(".png", write)
    assert "or, if the indices are right" in case.refused()
    case.reads_as_plain(values={0: "background", 1: "object"})


def test_palettes__of_grey_values_that_are_ids_too(case):
    case.masks(".png", lambda path, mask, _: paletted(mask, BLACK, (5, 5, 5)).save(path))
    said = case.refused(classes=[f"c{number}" for number in range(6)])
    assert "the grey values [0, 5] at the indices [0, 1]" in said
    # what is no id cannot be meant
    case.reads_as_plain()


def test_palettes__of_black_and_white_are_ids(case):
    case.masks(".png", lambda path, mask, _: paletted(mask, BLACK, WHITE).save(path))
    case.reads_as_plain()


@pytest.mark.parametrize("options", [{}, {"values": {0: "background", 1: "object"}}])
def test_255__beside_1_is_not_void_by_default(case, options):
    def write(path, mask, index):
        Image.fromarray(mask * (255 if index % 2 else 1)).save(path)

    case.masks(".png", write)
    said = case.refused(**options)
    assert "holds 0 and 255" in said
    assert "ignore: [255]" in said


def test_255__where_1_is_declared_and_nowhere(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask * 255).save(path))
    assert "255" in case.refused(values={0: "background", 1: "object"})
    assert "no valid" not in case.refused(values={0: "background", 1: "object"})


def test_threshold__is_of_what_is_seen(case):
    def write(path, mask, index):
        image = paletted(mask, BLACK, WHITE) if index % 2 else Image.fromarray(mask * 255)
        image.save(path)

    case.masks(".png", write)
    case.reads_as_plain(threshold=128)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_threshold__of_another_scale(case, dtype):
    top = 1 if dtype == np.uint8 else 40_000
    case.masks(".tif", lambda path, mask, _: tifffile.imwrite(path, (mask * dtype(top)).astype(dtype)))
    said = case.refused(threshold=128)
    assert f"holds values up to {top}, and data.threshold is 128" in said


@pytest.mark.parametrize("colors", [(BLACK, WHITE), [(grey,) * 3 for grey in range(16)], (WHITE, BLACK)])
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
    """A BMP as other programs than Pillow write it: any palette with any depth."""
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


def test_tiff__palette_of_8_bits(tmp_path):
    mask, colors = sample(0)[1], np.zeros((3, 256), np.uint16)
    colors[:, 1] = (200, 100, 50)
    tifffile.imwrite(tmp_path / "x.tif", mask, photometric="palette", colormap=colors)
    assert read_image(tmp_path / "x.tif")[mask == 1][0].tolist() == [200, 100, 50]


def test_value_range__does_not_darken_what_has_fewer_bits(tmp_path):
    from lightseg.data.io.images import ImageValues

    Image.fromarray(sample(0)[0]).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="holds at most 255, and data.value_range ends at 4095"):
        read_image(tmp_path / "x.png", values=ImageValues(0, 4095))


def _move(case, *where):
    for kind in ("images", "masks"):
        for index in range(COUNT):
            folder = case.root / where[index % len(where)].format(kind=kind)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(case.root / f"{kind}/{index:02d}.png", folder)
        if not any((case.root / kind).iterdir()):
            (case.root / kind).rmdir()


def test_folders__that_look_like_splits_are_not_mixed(case):
    _move(case, "{kind}/train2017", "{kind}/val2017")
    assert "has train2017, val2017, which look like splits, and would be mixed" in case.refused()


@pytest.mark.parametrize("name", ["dev", "Val", "val_set"])
def test_folders__of_a_split_of_another_name(case, name):
    _move(case, "train/{kind}", f"{name}/{{kind}}")
    assert f"{name}/images is of no split that is known by this name" in case.refused()


def test_folders__of_val_without_masks_are_not_replaced(case):
    _move(case, "train/{kind}", "val/{kind}")
    (case.root / "val/masks").rename(case.root / "val/mask")
    assert "val/masks: not found beside val/images" in case.refused()


def test_missing_mask__does_not_make_images_of_masks(case):
    for index in range(COUNT):
        shutil.move(case.root / f"images/{index:02d}.png", case.root)
    (case.root / "images").rmdir()
    data = case.data(images=".", masks="masks", missing_mask="background")
    names = [
        data.dataset(split).name(index)
        for split in ("train", "val", "test")
        for index in range(len(data.dataset(split)))
    ]
    assert sorted(names) == [f"{index:02d}.png" for index in range(COUNT)]


def test_missing_mask__of_another_spelling(case):
    (case.root / "images/00.png").rename(case.root / "images/A.png")
    (case.root / "masks/00.png").rename(case.root / "masks/a.png")
    assert "masks/a.png differs by its case alone" in case.refused(missing_mask="background")
