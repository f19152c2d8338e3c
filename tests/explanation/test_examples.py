"""Choice of the images to show."""

import numpy as np
import pytest

from lightseg.explanation.collect import collect
from lightseg.explanation.examples import (
    confusion_crops,
    largest_confusions,
    most_uncertain,
    per_image_counts,
    worst_images,
)
from lightseg.explanation.gallery import Gallery
from lightseg.labels import IGNORE
from tests.explanation.fabricate import Data, LabelData, Oracle, label_image, label_task

CLASSES = ("ground", "disc", "square")
BLACK = np.zeros((64, 96, 3), np.uint8)


def _observe(masks, spoil, kind="segmentation"):
    data = Data([BLACK] * len(masks), masks, CLASSES)
    task = Oracle(kind, CLASSES, spoil)
    return collect(task, data, "test"), Gallery(task, data, "test")


def _boxes(*widths):
    """Return masks with a box of discs, 10 pixels high, from the left edge on."""
    masks = [np.zeros((64, 96), np.uint8) for _ in widths]
    for mask, width in zip(masks, widths, strict=True):
        mask[:10, :width] = 1
    return masks


def _halve(truth):
    """Predict discs beyond column 4 as squares."""
    truth[..., 4:][truth[..., 4:] == 1] = 2
    return truth


def test_per_image_counts__by_hand():
    observations, _ = _observe(_boxes(4, 10), _halve)

    assert per_image_counts(observations)[:, :, 1:].tolist() == [
        [[40, 0], [40, 0], [40, 0]],
        [[40, 0], [100, 0], [40, 60]],
    ]


def test_worst_images__lowest_iou_first_and_none_without_an_error():
    observations, gallery = _observe(_boxes(4, 8, 40), _halve)
    worst = worst_images(observations, gallery, 5)

    assert [(each.title, each.remark) for each in worst] == [
        ("disc: IoU 10.0 %", "<2>.png"),
        ("disc: IoU 50.0 %", "<1>.png"),
    ]
    assert [picture.caption for picture in worst[0].pictures] == ["image", "truth", "prediction", "errors"]
    assert [each.remark for each in worst_images(observations, gallery, 1)] == ["<2>.png"]


def test_largest_confusions__most_pixels_first():
    observations, _ = _observe(_boxes(10), _halve)

    assert largest_confusions(observations) == [(1, 2, 60)]
    assert largest_confusions(_observe(_boxes(3), _halve)[0]) == []


def test_confusion_crops__around_the_largest_region():
    masks = _boxes(5, 90)
    masks[1][40:42, 80:82] = 1
    observations, gallery = _observe(masks, _halve)
    (crop,) = confusion_crops(observations, gallery, (1, 2), 1)

    assert (crop.title, crop.remark) == ("disc predicted as square: 860 pixels", "<1>.png")
    # 86 columns with half as many on each side are more than there are; 10 rows are widened to the least side
    assert crop.pictures[1].pixels.shape == (48, 96, 3)
    assert len(confusion_crops(observations, gallery, (1, 2), 5)) == 2


def test_most_uncertain__highest_entropy_first():
    observations, gallery = _observe(_boxes(1, 2, 3), lambda truth: truth)
    object.__setattr__(observations, "entropy", np.array([0.25, np.nan, 0.5]))
    groups = most_uncertain(observations, gallery, 2)

    assert [(each.title, each.remark) for each in groups] == [
        ("<2>.png", "mean entropy 50.0 %"),
        ("<0>.png", "mean entropy 25.0 %"),
    ]
    assert [picture.caption for picture in groups[0].pictures] == ["image", "prediction", "uncertainty", "errors"]


def test_classification__wrong_images_with_the_lowest_probability_of_the_truth():
    observations, gallery = _observe([0, 1, 2, 1], lambda truth: truth.clamp(max=1), "classification")
    (wrong,) = worst_images(observations, gallery, 3)

    assert wrong.title == "square: predicted as disc, 100 % sure"
    assert [picture.caption for picture in wrong.pictures] == ["<2>.png"]
    assert largest_confusions(observations) == [(2, 1, 1)]
    assert [each.title for each in confusion_crops(observations, gallery, (2, 1), 3)] == [wrong.title]
    assert most_uncertain(observations, gallery, 1)[0].remark.startswith("entropy ")


@pytest.mark.parametrize("number", [0, 3])
def test_worst_images__of_a_perfect_task_there_are_none(number):
    assert worst_images(*_observe(_boxes(3), lambda truth: truth), number) == []


def _label_observations(kind, predictions, targets, size=None):
    task = label_task(kind, ("road", "car"))
    images = [label_image(prediction, size) for prediction in predictions]
    targets = [np.moveaxis(np.asarray(target, np.uint8), 0, -1) for target in targets]
    data = LabelData(images, targets, task.classes)
    return collect(task, data, "test"), Gallery(task, data, "test")


def test_overlapping_masks__worst_images_and_false_alarms_where_another_class_is():
    target = np.zeros((3, 2, 64, 96), np.uint8)
    target[:, 0, :10, :40] = 1
    prediction = target.copy()
    # a quarter of the road is missed in the second image, and is taken for a car in the third
    prediction[1, 0, :10, 30:40] = 0
    prediction[2, 1, :10, 30:40] = 1
    observations, gallery = _label_observations("segmentation", prediction, target)

    (worst,) = worst_images(observations, gallery, 5)
    assert (worst.title, worst.remark) == ("road: IoU 75.0 %", "<1>.png")
    assert [picture.caption for picture in worst.pictures] == ["image", "truth", "prediction", "errors of road"]
    assert largest_confusions(observations) == [(0, 1, 100)]
    (crop,) = confusion_crops(observations, gallery, (0, 1), 3)
    assert (crop.title, crop.remark) == ("car predicted at road: 100 pixels", "<2>.png")
    assert crop.pictures[-1].caption == "errors of car"
    assert crop.pictures[1].pixels.shape == (48, 48, 3)
    uncertain = most_uncertain(observations, gallery, 1)[0]
    assert [picture.caption for picture in uncertain.pictures] == ["image", "prediction", "uncertainty", "errors"]


def test_largest_confusions__none_where_false_alarms_are_as_frequent_everywhere():
    target = np.zeros((1, 2, 8, 8), np.uint8)
    target[:, 0, :4] = 1
    prediction = target.copy()
    prediction[:, 1, :, :2] = 1
    assert largest_confusions(_label_observations("segmentation", prediction, target)[0]) == []


def test_labels__missed_ones_and_false_alarms():
    targets = [[1, 1], [1, 0], [0, 0], [1, IGNORE]]
    predictions = [[1, 0], [1, 1], [0, 0], [1, 1]]
    observations, gallery = _label_observations("classification", predictions, targets, (4, 4))

    assert {group.title for group in worst_images(observations, gallery, 3)} == {
        "car: missed, probability 0 %",
        "car: false alarm, probability 100 %",
    }
    # the only false alarm is where a road is, and half of the images without a car have a road
    assert largest_confusions(observations) == []
    assert {group.title for group in most_uncertain(observations, gallery, 4)} == {
        "road, car: predicted as road",
        "road: predicted as road, car",
        "predicted as nothing",
        "predicted as road, car",
    }
