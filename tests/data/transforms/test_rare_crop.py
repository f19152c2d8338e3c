import albumentations as A
import numpy as np
import pytest

from lightseg.data import RareClassCrop
from lightseg.data.sample_index import mix
from lightseg.data.transforms.pipeline import EvalTransform, TrainTransform
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE


def _crop(mask, height, width, focus=1.0, rare=(1, 2), seeds=200):
    """Crops by many seeds; the image holds each pixel's row and column."""
    crop = RareClassCrop(height, width, focus)
    crop.rare = rare
    transform = TrainTransform([crop])
    rows, columns = np.indices(mask.shape, np.uint8)
    image = np.stack([rows, columns, np.ones_like(rows)], 2)
    return [transform(image, mask, mix(seed)) for seed in range(seeds)]


def _mask(height, width, **pixels):
    mask = np.zeros((height, width), np.uint8)
    for name, places in pixels.items():
        for place in places:
            mask[place] = int(name.removeprefix("c"))
    return mask


@pytest.mark.parametrize("place", [(0, 0), (0, 49), (39, 0), (39, 49), (17, 23)])
def test_crop__holds_the_rare_pixel(place):
    mask = _mask(40, 50, c1=[place])
    for image, cropped in _crop(mask, 8, 9):
        assert image.shape == (8, 9, 3)
        assert (cropped == 1).sum() == 1
        # image and mask are cut at the same place
        assert tuple(image[cropped == 1][0, :2]) == place


def test_crop__every_place_that_holds_the_pixel_is_as_likely():
    starts = [tuple(image[0, 0, :2]) for image, _ in _crop(_mask(12, 12, c1=[(6, 1)]), 3, 3, seeds=1200)]
    # three rows by two columns: there is nothing to the left of column 0
    assert set(starts) == {(row, column) for row in (4, 5, 6) for column in (0, 1)}
    assert min(starts.count(start) for start in set(starts)) > 150


def test_crop__classes_are_equally_likely():
    mask = _mask(30, 30, c1=[(0, 0)])
    mask[20:, 20:] = 2
    of_one = sum(bool((cropped == 1).any()) for _, cropped in _crop(mask, 4, 4, seeds=400))
    assert 150 < of_one < 250


def test_crop__pixels_of_a_class_are_drawn_alike():
    mask = _mask(3, 90, c1=[(1, 0)])
    mask[1, 60:63] = 1
    of_four = sum(bool((cropped[:, 0] == 1).all()) for _, cropped in _crop(mask[1:2], 1, 1, seeds=400))
    assert of_four == 400
    at_zero = sum(int(image[0, 0, 1] == 0) for image, _ in _crop(mask[1:2], 1, 1, seeds=400))
    assert 60 < at_zero < 140


@pytest.mark.parametrize(("focus", "least", "most"), [(0.0, 0, 20), (0.25, 70, 140), (1.0, 400, 400)])
def test_crop__focus_is_the_share(focus, least, most):
    hits = sum(bool((cropped == 1).any()) for _, cropped in _crop(_mask(60, 60, c1=[(30, 30)]), 6, 6, focus, seeds=400))
    assert least <= hits <= most


def test_crop__common_classes_do_not_draw_it():
    starts = {tuple(image[0, 0, :2]) for image, _ in _crop(_mask(5, 5, c3=[(0, 0)]), 3, 3)}
    assert starts == {(row, column) for row in range(3) for column in range(3)}


def test_crop__a_smaller_image_is_padded_as_random_crop_pads():
    mask = _mask(5, 20, c1=[(4, 19)])
    plain = TrainTransform([A.RandomCrop(8, 8, pad_if_needed=True)])(np.ones((5, 20, 3), np.uint8), mask, 0)[1]
    for image, cropped in _crop(mask, 8, 8, seeds=50):
        assert image.shape == (8, 8, 3)
        assert ((cropped == IGNORE) == (plain == IGNORE)).all()
        assert ((image[..., 2] == 0) == (cropped == IGNORE)).all()
        assert (cropped == 1).sum() == 1


def test_crop__smaller_in_both_directions():
    for _, cropped in _crop(_mask(3, 4, c1=[(2, 3)]), 8, 8, seeds=5):
        assert (cropped != IGNORE).sum() == 12
        assert (cropped == 1).sum() == 1


def test_crop__padding_is_void_without_training_too():
    crop = RareClassCrop(4, 4, 0.0)
    assert (crop(image=np.zeros((2, 2, 3), np.uint8), mask=np.zeros((2, 2), np.uint8))["mask"] == IGNORE).sum() == 12


def test_crop__inside_a_choice():
    crop = RareClassCrop(4, 4)
    assert TrainTransform([A.OneOf([crop], p=1)]).rare_crops == [crop]


def test_crop__needs_masks_and_rare_classes():
    image, crop = np.zeros((9, 9, 3), np.uint8), RareClassCrop(4, 4, 1.0)
    with pytest.raises(ConfigError, match="^RareClassCrop: the rare classes are not set; use it in data.tra"):
        TrainTransform([crop])(image, np.zeros((9, 9), np.uint8), 0)
    crop.rare = (1,)
    with pytest.raises(
        ConfigError, match="^RareClassCrop: needs masks, and this data has class ids; use .*RandomCrop$"
    ):
        TrainTransform([crop])(image, 1, 0)
    with pytest.raises(ConfigError, match="would shift the image against its ground truth"):
        EvalTransform([crop])


def test_crop__values_out_of_range():
    with pytest.raises(ConfigError, match="RareClassCrop: sides must be 1 pixel or more, got 0×4"):
        RareClassCrop(0, 4)
    with pytest.raises(ConfigError, match="RareClassCrop: focus: must be 0 to 1, got 1.5"):
        RareClassCrop(4, 4, 1.5)


def test_crop__of_a_mask_for_each_class():
    mask = np.zeros((40, 50, 3), np.uint8)
    mask[..., 0] = 1
    mask[17, 23, 2] = 1
    crop = RareClassCrop(8, 9, 1.0)
    crop.rare = (2,)
    transform = TrainTransform([crop], multilabel=True)
    for seed in range(50):
        _, cropped = transform(np.zeros((40, 50, 3), np.uint8), mask, mix(seed))
        assert cropped.shape == (8, 9, 3)
        assert cropped[..., 2].sum() == 1
        assert (cropped[..., 0] == 1).all()
