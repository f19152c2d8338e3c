"""Bands, ranges and missing values: as options, in a checkpoint, and applied to pixels."""

import numpy as np
import pytest

from lightseg.data.io.image_values import AS_STORED, ImageValues, image_values
from lightseg.data.io.images import read_image, read_image_and_missing
from lightseg.errors import ConfigError, DataError
from tests.data.fabricate import geotiff, picture, save

BANDS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) - 5


@pytest.fixture
def path(tmp_path):
    return geotiff(tmp_path / "x.tif", BANDS)


def test_record__is_plain_data_and_gives_the_values_back():
    values = ImageValues(((0, 10), (-5, 5)), -9999.0, (3, 1), (0.5, 0.25))
    record = {"ranges": [[0, 10], [-5, 5]], "nodata": -9999.0, "bands": [3, 1], "fill": [0.5, 0.25]}
    assert values.to_record() == record
    assert ImageValues.from_record(record) == values
    assert AS_STORED.to_record() == {}
    assert image_values({}) == AS_STORED


@pytest.mark.parametrize(
    ("record", "values"),
    [
        ([0.0, 4095.0, None], ImageValues(((0, 4095),))),
        ([0.0, None, -1.0], ImageValues(None, -1.0)),
        ([-5.0, 5.0, 0.0], ImageValues(((-5, 5),), 0.0)),
    ],
)
def test_record__of_version_0_1(record, values):
    assert image_values({"image_values": record}) == values


def test_version_0_1__missing_values_are_0_and_masks_unchanged(path):
    image, missing = read_image_and_missing(path, 4, values=ImageValues.from_record([-10.0, 30.0, 3.0]))
    expected = (BANDS + 10) / 40
    expected[BANDS == 3] = 0
    assert np.allclose(image, expected)
    assert missing is None


def test_bands__are_counted_from_1_and_keep_their_order(path):
    values = ImageValues(((-5, 18),), None, (4, 1))
    assert np.allclose(read_image(path, 2, values=values), (BANDS[..., [3, 0]] + 5) / 23)


def test_bands__of_any_layout(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 7), np.uint8)
    planes = np.moveaxis(array, -1, 0)
    geotiff(tmp_path / "planes.tif", planes, planarconfig="separate")
    geotiff(tmp_path / "pages.tif", planes, planarconfig=None)
    geotiff(tmp_path / "pixels.tif", array)
    np.save(tmp_path / "first.npy", planes)
    np.save(tmp_path / "last.npy", array)
    for name in ("planes.tif", "pages.tif", "pixels.tif", "first.npy", "last.npy"):
        image = read_image(tmp_path / name, 3, values=ImageValues(bands=(7, 2, 2)))
        assert np.array_equal(image, array[..., [6, 1, 1]]), name


def test_bands__of_colors_and_alpha(tmp_path):
    rgba = np.dstack([picture(), picture(1)[..., :1]])
    save(tmp_path / "x.png", rgba)
    assert np.array_equal(read_image(tmp_path / "x.png", 2, values=ImageValues(bands=(4, 2))), rgba[..., [3, 1]])


def test_bands__that_a_file_lacks(path):
    with pytest.raises(DataError, match=r"x\.tif: has 4 channels, but data\.bands names band 5; bands are counted"):
        read_image(path, 1, values=ImageValues(((0, 9),), bands=(5,)))


def test_ranges__one_for_each_channel(path):
    ranges = ((-5, 15), (0, 10), (-10, 30), (-2, 2))
    low, high = np.array(ranges).T
    expected = ((BANDS - low) / (high - low)).clip(0, 1)
    assert np.allclose(read_image(path, 4, values=ImageValues(ranges)), expected)


def test_missing__values_become_their_fill_and_pixels_are_void_without_any_value(tmp_path):
    array = np.float32([[[0.25, 0.5], [-1, 0.5], [-1, np.nan], [np.nan, 1]]])
    np.save(tmp_path / "x.npy", array)
    image, missing = read_image_and_missing(tmp_path / "x.npy", 2, values=ImageValues(None, -1.0, None, (0.125, 0.75)))
    assert image.tolist() == [[[0.25, 0.5], [0.125, 0.5], [0.125, 0.75], [0.125, 1]]]
    assert missing.tolist() == [[False, False, True, False]]


def test_missing__of_8_bits_and_of_gray_for_three_channels(tmp_path):
    save(tmp_path / "x.png", np.array([[0, 200], [7, 255]], np.uint8))
    image, missing = read_image_and_missing(tmp_path / "x.png", 3, values=ImageValues(None, 0.0, None, (0.2, 0.4, 0.6)))
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [51, 102, 153]
    assert image[1, 1].tolist() == [255, 255, 255]
    assert missing.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3, 3],), r"data\.value_range: \[3, 3\] is no range"),
        (([],), r"data\.value_range: \[\] is no range"),
        (([[0, 1], [0, np.inf]],), r"data\.value_range: \[0, inf\] is no range"),
        ((None, None, []), r"data\.bands: \[\] must be numbers of bands, from 1 on"),
        ((None, None, [1, 0]), r"data\.bands: \[1, 0\] must be numbers of bands, from 1 on"),
    ],
)
def test_of__contradictions(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ImageValues.of(*arguments)
