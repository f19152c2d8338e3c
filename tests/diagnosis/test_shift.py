import cv2
import numpy as np
import pytest

from lightseg.data import Shapes
from lightseg.diagnosis.masks import is_shifted
from lightseg.diagnosis.shift import measure_shift


def square(y=40, x=40, side=30, size=120):
    """Return an image of a bright square on noise, and its mask."""
    mask = np.zeros((size, size), np.uint8)
    mask[y : y + side, x : x + side] = 1
    noise = np.random.default_rng(0).integers(0, 20, mask.shape)
    return (80 + 100 * mask + noise).astype(np.uint8), mask


def test_measure_shift__of_what_fits_is_nothing():
    shift = measure_shift(*square())
    assert (shift.dy, shift.dx) == (0, 0)
    assert shift.unshifted == shift.peak


@pytest.mark.parametrize(("down", "right"), [(0, 12), (-7, 5), (9, 0)])
def test_measure_shift__says_where_the_mask_should_move(down, right):
    gray, _ = square()
    _, moved = square(y=40 + down, x=40 + right)
    shift = measure_shift(gray, moved)
    assert (shift.dy, shift.dx) == (-down, -right)
    assert is_shifted(shift)


def test_measure_shift__of_a_large_image_is_in_its_own_pixels():
    gray, _ = square()
    _, moved = square(x=52)
    large = [cv2.resize(plane, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST) for plane in (gray, moved)]
    shift = measure_shift(*large)
    assert abs(shift.dx + 96) <= 3
    assert abs(shift.dy) <= 3


def test_measure_shift__of_nothing_to_compare_is_none():
    gray, mask = square()
    assert measure_shift(gray, np.zeros_like(mask)) is None
    assert measure_shift(np.full_like(gray, 7), mask) is None
    assert measure_shift(gray[:40, :40], mask[:40, :40]) is None


def test_is_shifted__of_masks_that_fit_is_never_true():
    data = Shapes(train_size=150)
    pairs = (data.dataset("train")[index] for index in range(150))
    shifts = [measure_shift(image.mean(2).astype(np.uint8), mask) for image, mask in pairs]
    assert not any(map(is_shifted, shifts))


def test_is_shifted__of_noise_is_false():
    rng = np.random.default_rng(0)
    _, mask = square()
    shifts = [measure_shift(rng.integers(0, 256, mask.shape, np.uint8), mask) for _ in range(50)]
    assert not any(map(is_shifted, shifts))
