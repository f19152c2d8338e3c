"""Mean and standard deviation of pixels."""

import numpy as np
import pytest

from lightseg.data.io.pixel_stats import measure_pixel_stats


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
