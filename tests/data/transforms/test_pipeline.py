import pickle

import albumentations as A
import cv2
import numpy as np
import pytest

from lightseg.data.sample_index import mix
from lightseg.data.transforms.pipeline import EvalTransform, TrainTransform
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
MASK = np.random.default_rng(1).integers(0, 3, (20, 24)).astype(np.uint8)


def _pipeline():
    return TrainTransform([A.RandomScale(p=1), A.RandomCrop(16, 16, pad_if_needed=True), A.RandomBrightnessContrast()])


def test_train__is_a_function_of_the_seed():
    first_pipeline, second_pipeline = _pipeline(), _pipeline()
    second_pipeline(IMAGE, MASK, 99)
    for first, second in zip(first_pipeline(IMAGE, MASK, 7), second_pipeline(IMAGE, MASK, 7), strict=True):
        assert np.array_equal(first, second)
    assert not np.array_equal(first_pipeline(IMAGE, MASK, 7)[0], first_pipeline(IMAGE, MASK, 8)[0])


def test_train__padding_is_void():
    _, mask = TrainTransform([A.PadIfNeeded(32, 32, border_mode=cv2.BORDER_CONSTANT)])(IMAGE, MASK, 0)
    assert (mask == IGNORE).sum() == 32 * 32 - 20 * 24


def test_train__padding_inside_a_choice_is_void():
    pad = A.OneOf([A.PadIfNeeded(32, 32, border_mode=cv2.BORDER_CONSTANT)], p=1)
    assert (TrainTransform([pad])(IMAGE, MASK, 0)[1] == IGNORE).any()


def test_train__masks_hold_no_new_values():
    for seed in range(20):
        _, mask = TrainTransform([A.RandomScale(p=1), A.Rotate(p=1)])(IMAGE, MASK, seed)
        assert set(np.unique(mask)) <= {0, 1, 2, IGNORE}


def test_train__refuses_to_interpolate_masks():
    with pytest.raises(ConfigError, match="Resize would interpolate class ids"):
        TrainTransform([A.Resize(8, 8, mask_interpolation=cv2.INTER_LINEAR)])


def test_train__class_ids_pass_through():
    assert TrainTransform([A.HorizontalFlip(p=1)])(IMAGE, 4, 0)[1] == 4


def test_eval__resizes_the_image_alone():
    image, mask = EvalTransform([A.Resize(10, 12)])(IMAGE, MASK, 0)
    assert image.shape == (10, 12, 3)
    assert mask is MASK


@pytest.mark.parametrize("transform", [A.HorizontalFlip(), A.CenterCrop(8, 8), A.PadIfNeeded(64, 64)])
def test_eval__refuses_geometric_transforms(transform):
    with pytest.raises(ConfigError, match="would shift the image against its ground truth"):
        EvalTransform([transform])


def test_train__transforms_are_independent():
    image = np.full((8, 8, 3), 100, np.uint8)
    image[:, 4:] = 150
    transform = TrainTransform([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast((0.3, 0.3), (0, 0), p=0.5)])
    counts = np.zeros((2, 2), int)
    for seed in range(400):
        result, _ = transform(image, 0, mix(0, seed))
        counts[int(result[0, 0, 0] > result[0, 7, 0]), int(result.max() > 150)] += 1
    assert counts.min() > 60


@pytest.mark.parametrize("kind", [TrainTransform, EvalTransform])
def test_transforms__normalisation_is_the_models(kind):
    with pytest.raises(ConfigError, match=r"Normalize is not needed: normalization is in the model"):
        kind([A.Normalize()])


def test_train__explicit_fill_mask_is_respected():
    pad = A.PadIfNeeded(32, 32, border_mode=cv2.BORDER_CONSTANT, fill_mask=2)
    assert (TrainTransform([pad])(IMAGE, MASK, 0)[1][0] == 2).all()


def test_eval__a_transform_that_fails_is_named():
    transform = EvalTransform([A.ToGray(p=1), A.CenterCrop(64, 64)], "classification")
    with pytest.raises(ConfigError, match=r"data.eval_transforms.1: CenterCrop: Crop size .* exceeds"):
        transform(IMAGE, 0, 0)


@pytest.mark.parametrize("pipeline", [TrainTransform, EvalTransform])
def test_smallest_side__of_an_image_that_is_too_long(pipeline):
    transform = pickle.loads(pickle.dumps(pipeline([A.SmallestMaxSize(max_size=256)])))
    with pytest.raises(DataError, match=r"an image of 1×10000 \(height×width\) into 256×2560000; leave the image out"):
        transform(np.zeros((1, 10_000, 3), np.uint8), np.zeros((1, 10_000), np.uint8), 0)
    assert transform(np.zeros((2, 4, 3), np.uint8), np.zeros((2, 4), np.uint8), 0)[0].shape == (256, 512, 3)


# ---- a mask for each class -----------------------------------------------------------------------------------------

CHANNELS = np.random.default_rng(2).choice(np.array([0, 1, 1, IGNORE], np.uint8), (20, 24, 7))
"""More channels than OpenCV fills at once."""

GEOMETRIC = [
    A.RandomScale((-0.5, 0.5), p=1),
    A.Rotate(p=1, border_mode=cv2.BORDER_CONSTANT),
    A.Affine(translate_percent=0.3, shear=20, p=1),
    A.ElasticTransform(alpha=30, p=1),
    A.Perspective(p=1),
    A.GridDistortion(p=1),
    A.RandomResizedCrop((16, 16), p=1),
    A.RandomCrop(32, 32, pad_if_needed=True),
    A.PadIfNeeded(40, 40, border_mode=cv2.BORDER_CONSTANT),
    A.D4(p=1),
    A.CoarseDropout(p=1, fill_mask=0),
    A.GridDropout(p=1, fill_mask=0),
]


@pytest.mark.parametrize("transform", GEOMETRIC, ids=lambda transform: type(transform).__name__)
def test_channels__each_is_transformed_as_it_would_be_alone(transform):
    pipeline = TrainTransform([transform], multilabel=True)
    for seed in range(3):
        image, channels = pipeline(IMAGE, CHANNELS, seed)
        alone = [pipeline(IMAGE, CHANNELS[..., label], seed) for label in range(7)]
        assert channels.shape == (*image.shape[:2], 7)
        assert all(np.array_equal(image, single) for single, _ in alone)
        assert np.array_equal(channels, np.stack([mask for _, mask in alone], -1))


def test_channels__more_than_opencv_takes():
    channels = np.repeat(CHANNELS, 100, axis=2)
    _, result = TrainTransform([A.Rotate(p=1), A.Resize(30, 30)], multilabel=True)(IMAGE, channels, 0)
    assert result.shape == (30, 30, 700)
    assert np.array_equal(result[..., 0], result[..., 99])


def test_channels__a_transform_of_one_mask_is_refused():
    with pytest.raises(ConfigError, match="MaskDropout takes one mask, and here each class has one"):
        TrainTransform([A.MaskDropout()], multilabel=True)


def test_channels__averaging_is_refused():
    pipeline = TrainTransform([A.Resize(9, 9), A.HorizontalFlip()], multilabel=True)
    pipeline.require_copied_ids(IMAGE, CHANNELS, 0)
    pipeline = TrainTransform([A.Morphological(p=1)], multilabel=True)
    with pytest.raises(ConfigError, match="Morphological computes with class ids"):
        pipeline.require_copied_ids(IMAGE, CHANNELS, 0)
