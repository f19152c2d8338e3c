import re

import numpy as np
import pytest

from lightseg.data.datasets.shapes import Shapes, ShapesClassification, ShapesMultilabel
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE


def small(**options):
    return Shapes(**{"image_size": 48, "train_size": 12, "val_size": 6, "test_size": 6, **options})


def small_classification(**options):
    return ShapesClassification(**{"train_size": 50, "val_size": 20, "test_size": 20, **options})


def contents(dataset):
    return [
        (image.tobytes(), np.asarray(target).tobytes())
        for image, target in map(dataset.__getitem__, range(len(dataset)))
    ]


# ---- what a sample is ----------------------------------------------------------------------------------------------


def test_shapes__sample_is_uint8_picture_and_mask():
    image, mask = small().dataset("train")[0]
    assert image.shape == (48, 48, 3)
    assert image.dtype == np.uint8
    assert mask.shape == (48, 48)
    assert mask.dtype == np.uint8


def test_shapes__names_and_classes():
    module = small()
    assert module.classes == ["background", "circle", "square", "triangle", "star", "ring"]
    assert module.dataset("test").name(3) == "test-3"
    assert module.kind == "segmentation"
    assert small_classification().kind == "classification"
    assert small_classification().classes == module.classes[1:]


def test_shapes__every_class_occurs():
    assert (small(train_size=60).class_counts("train") > 0).all()


def test_shapes__sample_can_be_written_without_changing_the_set():
    dataset = small().dataset("train")
    image, mask = dataset[0]
    image[:], mask[:] = 0, 0
    assert dataset[0][0].any()
    assert dataset[0][1].any()


def test_shapes__classification_sample():
    image, target = small_classification().dataset("val")[0]
    assert image.shape == (32, 32, 3)
    assert type(target) is int


def test_shapes__test_split_may_be_empty():
    assert len(small(test_size=0).dataset("test")) == 0


# ---- what it depends on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [small, small_classification])
def test_shapes__two_instances_paint_the_same_bytes(make):
    assert contents(make().dataset("train")) == contents(make().dataset("train"))
    assert make().fingerprint() == make().fingerprint()


@pytest.mark.parametrize("make", [small, small_classification])
def test_shapes__independent_of_the_order_of_access(make):
    first, second = make(), make()
    forwards = {split: contents(first.dataset(split)) for split in ("train", "val", "test")}
    backwards = {split: contents(second.dataset(split)) for split in ("test", "val", "train")}
    assert forwards == backwards


@pytest.mark.parametrize("make", [small, small_classification])
def test_shapes__a_smaller_set_is_the_beginning_of_a_larger_one(make):
    assert contents(make(train_size=5).dataset("train")) == contents(make().dataset("train"))[:5]


def test_shapes__splits_and_data_seeds_share_nothing():
    sets = [small().dataset(split) for split in ("train", "val", "test")] + [small(data_seed=1).dataset("train")]
    pictures = [image for dataset in sets for image, _ in contents(dataset)]
    assert len(set(pictures)) == len(pictures)


def test_shapes__fingerprint_follows_the_labels_too():
    clean, noisy = small(), small(label_noise=1.0)
    assert clean.dataset("train").fingerprint() != noisy.dataset("train").fingerprint()
    assert clean.dataset("val").fingerprint() == noisy.dataset("val").fingerprint()


# ---- imbalance -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 8.0])
def test_shapes__imbalance_is_the_ratio_of_objects(ratio):
    module = Shapes(
        image_size=24, train_size=700, objects=(1, 1), object_size=(0.2, 0.2), imbalance=ratio, void_border=0
    )
    masks = [module.dataset("train")[index][1] for index in range(700)]
    objects = np.bincount([mask.max() for mask in masks], minlength=6)[1:]
    shares = ratio ** (-np.arange(5) / 4)
    assert objects / objects.sum() == pytest.approx(shares / shares.sum(), abs=0.04)


def test_shapes__imbalance_leaves_places_and_colors_alone():
    equal, skewed = (small(objects=(1, 1), imbalance=ratio).dataset("train") for ratio in (1.0, 50.0))
    same = [np.array_equal(equal[index][0], skewed[index][0]) for index in range(12)]
    assert 0 < sum(same) < 12


def test_shapes__classification_counts():
    module = small_classification(train_size=310, imbalance=16.0)
    # 310 samples in shares of 16 : 8 : 4 : 2 : 1
    assert module.class_counts("train") == pytest.approx([160, 80, 40, 20, 10], abs=2)
    assert module.class_counts("val") == pytest.approx([4, 4, 4, 4, 4], abs=1)


# ---- label noise and void ------------------------------------------------------------------------------------------


def test_shapes__label_noise_is_in_train_only():
    clean, noisy = small(), small(label_noise=0.5)
    assert contents(clean.dataset("val")) == contents(noisy.dataset("val"))
    assert contents(clean.dataset("test")) == contents(noisy.dataset("test"))
    for index in range(12):
        (image, mask), (noisy_image, noisy_mask) = clean.dataset("train")[index], noisy.dataset("train")[index]
        assert np.array_equal(image, noisy_image)
        # an object's label may be wrong; where objects are stays
        assert np.array_equal(mask == 0, noisy_mask == 0)
        assert np.array_equal(mask == IGNORE, noisy_mask == IGNORE)


@pytest.mark.parametrize(("share", "size", "tolerance"), [(0.0, 50, 0), (0.2, 600, 0.04), (1.0, 50, 0)])
def test_shapes__label_noise_is_the_share_of_wrong_labels(share, size, tolerance):
    clean, noisy = (small_classification(train_size=size, label_noise=noise).dataset("train") for noise in (0, share))
    wrong = np.mean([clean[index][1] != noisy[index][1] for index in range(size)])
    assert wrong == pytest.approx(share, abs=tolerance)


def test_shapes__more_label_noise_keeps_wrong_labels():
    targets = [
        np.array([dataset[index][1] for index in range(50)])
        for dataset in (small_classification(label_noise=noise).dataset("train") for noise in (0.0, 0.3, 0.6))
    ]
    wrong = targets[1] != targets[0]
    assert np.array_equal(targets[2][wrong], targets[1][wrong])


@pytest.mark.parametrize("width", [0, 1, 2])
def test_shapes__void_border_is_where_another_owner_is_near(width):
    bare, void = small(void_border=0).dataset("val"), small(void_border=width).dataset("val")
    for index in range(len(bare)):
        plain, mask = bare[index][1], void[index][1]
        assert np.array_equal(bare[index][0], void[index][0])
        assert np.array_equal(mask[mask != IGNORE], plain[mask != IGNORE])
        edges = np.argwhere(plain[:, 1:] != plain[:, :-1])
        for row, column in edges[:20]:
            # the outline runs between two pixels: `width` of them on either side are void
            assert (mask[row, max(column - width + 1, 0) : column + width + 1] == IGNORE).all()
    assert (mask == IGNORE).any() == (width > 0)


# ---- wrong values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("image_size", 4),
        ("train_size", 0),
        ("val_size", 0),
        ("test_size", -1),
        ("objects", (3, 2)),
        ("objects", (0, 2)),
        ("object_size", (0.0, 0.2)),
        ("object_size", (0.2, 0.9)),
        ("label_noise", 1.5),
        ("void_border", -1),
        ("pixel_noise", -1),
        ("imbalance", 0.5),
        ("imbalance", float("nan")),
    ],
)
def test_shapes__value_out_of_range(option, value):
    with pytest.raises(ConfigError, match=re.escape(str(value))):
        small(**{option: value})


# ---- classes that overlap ------------------------------------------------------------------------------------------


def test_multilabel__lights_overlap_and_void_is_that_of_a_color_alone():
    data = ShapesMultilabel(train_size=40, val_size=1, test_size=0)
    masks = np.stack([data.dataset("train")[index][1] for index in range(40)])
    assert masks.shape == (40, 64, 64, 3)
    assert set(np.unique(masks)) == {0, 1, IGNORE}
    assert ((masks == 1).sum(-1) > 1).mean() > 0.02
    assert ((masks == 1).sum(-1) == 0).mean() > 0.3
    assert ((masks[..., 0] == IGNORE) & (masks[..., 1] == 1)).any()


def test_multilabel__light_is_brighter_where_its_color_is_present():
    data = ShapesMultilabel(train_size=40, val_size=1, test_size=0, pixel_noise=0)
    for color in range(3):
        samples = [data.dataset("train")[index] for index in range(40)]
        inside, outside = (
            np.concatenate([image[..., color][mask[..., color] == value] for image, mask in samples])
            for value in (1, 0)
        )
        assert inside.mean() > outside.mean() + 80


def test_multilabel__the_images_do_not_depend_on_the_classes():
    options = {"train_size": 3, "val_size": 1, "test_size": 0}
    three, one = ShapesMultilabel(**options), ShapesMultilabel(["blue"], **options)
    assert one.palette == [three.palette[2]]
    for index in range(3):
        (image, masks), (same, mask) = three.dataset("train")[index], one.dataset("train")[index]
        assert np.array_equal(image, same)
        assert np.array_equal(masks[..., 2:], mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["red", "pink"]}, "data.classes: must be some of red, green, blue"),
        ({"classes": ["red", "red"]}, "data.classes: red is listed twice"),
        ({"discs": (2, 1)}, "data.discs: must be the least and the greatest"),
    ],
)
def test_multilabel__value_out_of_range(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        ShapesMultilabel(**options)
