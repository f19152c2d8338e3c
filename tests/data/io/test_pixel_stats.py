"""Range, mean and standard deviation of pixels, against NumPy."""

import numpy as np
import pytest

from lightseg.data.io.image_values import ImageValues
from lightseg.data.io.pixel_stats import measure_pixel_stats, measure_values
from lightseg.errors import DataError

RANDOM = np.random.default_rng(0)


def test_measure_pixel_stats__equals_numpy_over_images_of_any_size():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 2)).astype(np.uint8) for size in ((3, 5), (7, 2))]
    images.append(random.random((4, 4, 2)).astype(np.float32))
    pixels = np.concatenate([(each / (255 if each.dtype == np.uint8 else 1)).reshape(-1, 2) for each in images])
    mean, std = measure_pixel_stats(images)
    assert mean == pytest.approx(pixels.mean(0).tolist())
    assert std == pytest.approx(pixels.std(0).tolist())


def test_measure_pixel_stats__a_constant_channel_has_deviation_one():
    image = np.full((5, 5, 1), 77, np.uint8)
    assert measure_pixel_stats([image]) == ([pytest.approx(77 / 255)], [1.0])


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{number}.npy" for number in range(3)]
    for number, path in enumerate(paths):
        array = RANDOM.integers(-300, 9000, (40 + number, 50, 2)).astype(np.int16)
        array[:7] = -9999
        array[9, :, 1] = -9999
        np.save(path, array)
    return paths


def _valid(files, channel):
    values = np.concatenate([np.load(path)[..., channel].ravel() for path in files]).astype(float)
    return values[values != -9999]


def test_measure_values__percentiles_mean_and_deviation_of_the_valid_values(files):
    measured = measure_values(files, 2, ImageValues(nodata=-9999.0), measures_range=True)
    for channel in range(2):
        values = _valid(files, channel)
        low, high = np.percentile(values, [0.5, 99.5])
        assert measured.ranges[channel] == pytest.approx([low, high])
        scaled = ((values - low) / (high - low)).clip(0, 1)
        assert measured.mean[channel] == pytest.approx(scaled.mean(), rel=1e-6)
        assert measured.std[channel] == pytest.approx(scaled.std(), rel=1e-6)


def test_measure_values__a_stated_range_is_kept(files):
    values = ImageValues(((-300, 9000),), -9999.0)
    measured = measure_values(files, 2, values, measures_range=False)
    assert measured.ranges == [[-300, 9000]]
    expected = [(_valid(files, channel).mean() + 300) / 9300 for channel in range(2)]
    assert measured.mean == pytest.approx(expected, rel=1e-6)


def test_measure_values__large_images_are_sampled_on_a_grid(tmp_path):
    array = RANDOM.integers(0, 50_000, (700, 900, 1)).astype(np.uint16)
    np.save(tmp_path / "x.npy", array)
    measured = measure_values([tmp_path / "x.npy"], 1, ImageValues(), measures_range=True)
    assert measured.ranges[0] == pytest.approx(np.percentile(array[::7, ::7], [0.5, 99.5]).tolist())


def test_measure_values__gray_and_color_share_a_range(tmp_path):
    np.save(tmp_path / "color.npy", np.full((8, 8, 3), 5, np.uint16) * np.uint16([1, 2, 3]))
    np.save(tmp_path / "gray.npy", np.full((8, 8), 35, np.uint16))
    gray = measure_values([tmp_path / "color.npy", tmp_path / "gray.npy"], 1, ImageValues(), measures_range=True)
    assert gray.ranges == [[5, 35]]


def test_measure_values__a_constant_channel_and_one_without_values(tmp_path):
    np.save(tmp_path / "x.npy", np.dstack([np.full((4, 4), 7), np.eye(4) - 1]))
    assert measure_values([tmp_path / "x.npy"], 2, ImageValues(), measures_range=True).ranges[0] == [7, 8]
    for measures_range in (True, False):
        with pytest.raises(DataError, match="all values of channel 1 are missing in 1 training images; check data.nod"):
            measure_values([tmp_path / "x.npy"], 2, ImageValues(((-1, 9),), 7.0), measures_range)


def test_measure_values__broken_files_are_left_out(files):
    expected = measure_values(files[1:], 2, ImageValues(nodata=-9999.0), measures_range=True)
    files[0].write_bytes(b"x")
    assert measure_values(files, 2, ImageValues(nodata=-9999.0), measures_range=True) == expected
    with pytest.raises(DataError, match=r"0\.npy: this image cannot be read"):
        measure_values(files[:1], 2, ImageValues(), measures_range=True)
