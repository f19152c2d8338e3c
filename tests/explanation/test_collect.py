"""Statistics of a split, image by image."""

import math

import numpy as np
import pytest
import torch

from lightseg.errors import DataError
from lightseg.explanation.collect import collect
from lightseg.explanation.error_types import PARTS
from lightseg.labels import IGNORE
from tests.explanation.fabricate import Data, LabelData, Oracle, discs, label_image, label_task

CLASSES = ("ground", "disc", "square")


def _collect(spoil, images, targets, kind="segmentation", **options):
    return collect(Oracle(kind, CLASSES, spoil, **options), Data(images, targets, CLASSES), "test")


def test_collect__error_types_and_sizes_add_up():
    images, masks = discs(6)
    for mask in masks:
        mask[:3] = IGNORE
    observations = _collect(lambda truth: truth.roll(1, -1), images, masks)
    truth = np.stack(masks)
    wrong = observations.cells.where(observations.cells["truth"] != observations.cells["prediction"])

    assert observations.confusion.sum() == (truth != IGNORE).sum()
    assert observations.wrong == observations.cells.sums(part=len(PARTS))[1:].sum() == wrong.sums(size=3).sum()
    assert wrong["part"].min() > 0
    # objects are counted by the half of their center
    assert observations.objects.sums(across=2).sum() == len(observations.objects)


def test_collect__void_split():
    images, masks = discs(2)
    with pytest.raises(DataError, match="every pixel of the test split is void"):
        _collect(lambda truth: truth, images, [np.full_like(mask, IGNORE) for mask in masks])


def test_collect__of_class_ids_by_hand():
    gray = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 200)]
    # a logit of log 6 beside two of 0 is a probability of 3/4 beside two of 1/8
    observations = _collect(
        lambda truth: truth.clamp(max=1), gray, [0, 2, IGNORE], kind="classification", logit=math.log(6)
    )
    assert observations.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert (observations.wrong, observations.unit, observations.objects) == (1, "images", None)
    assert observations.truth_probability[:2] == pytest.approx([0.75, 0.125])
    assert observations.entropy[0] == pytest.approx((0.75 * math.log(4 / 3) + 0.25 * math.log(8)) / math.log(3))
    assert np.isnan(observations.entropy[2])
    # the void image is in no cell, but its light counts for the thirds
    assert observations.cells["image"].tolist() == [0, 1]
    assert observations.cells["brightness"].tolist() == [0, 1]
    assert observations.names == ["<0>.png", "<1>.png", "<2>.png"]
    assert observations.uncalibrated is None


def test_collect__of_labels_by_hand():
    # logits of log 3 and -log 3 are probabilities of 3/4 and 1/4
    images = [label_image(prediction, (4, 4)) for prediction in ([1, 0], [1, 1], [0, 0])]
    targets = [np.array(target, np.uint8) for target in ([1, 1], [0, IGNORE], [IGNORE, IGNORE])]
    task = label_task("classification", ("a", "b"), math.log(3), thresholds=[0.5, 0.75])
    observations = collect(task, LabelData(images, targets, task.classes), "test")

    # presence and absence of a, and of b behind them: found and a false alarm, missed and void
    expected = np.zeros((4, 4), int)
    expected[0, 0] = expected[2, 0] = expected[1, 3] = 1
    assert observations.confusion.tolist() == expected.tolist()
    assert (observations.wrong, observations.unit, observations.objects) == (2, "images", None)
    np.testing.assert_allclose(observations.truth_probability, [[0.75, 0.25], [0.25, np.nan], [np.nan] * 2], rtol=1e-6)
    entropy = 0.25 * 2 + 0.75 * math.log2(4 / 3)
    np.testing.assert_allclose(observations.entropy, [entropy, entropy, np.nan], rtol=1e-6)
    labels = observations.labels
    assert labels.thresholds == [0.5, 0.75]
    assert labels.histogram.sum(2).tolist() == [[1, 1], [0, 1]]
    assert (labels.absences.tolist(), len(labels.alarms)) == ([[0, 0], [0, 0]], 0)
    assert [table.pixels.sum() for table in observations.reliability] == [2, 1]


def test_collect__of_overlapping_masks_adds_up_to_the_scores():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (3, 12, 12, 2)).astype(np.uint8)
    targets[0, :3, :, 1] = IGNORE
    predictions = rng.integers(0, 2, (3, 2, 12, 12))
    task = label_task("segmentation", ("a", "b"))
    task.temperature = 2.0
    data = LabelData([label_image(prediction) for prediction in predictions], list(targets), task.classes)
    observations = collect(task, data, "val")

    truth = targets.transpose(0, 3, 1, 2)
    for label in range(2):
        cells = [
            [((truth == value) & (predictions == predicted))[:, label].sum() for predicted in (1, 0)]
            for value in (1, 0)
        ]
        assert observations.confusion[label::2, label::2].tolist() == cells
    assert observations.wrong == ((truth != predictions) & (truth != IGNORE)).sum()
    alarms = (truth[:, 0] == 0) & (predictions[:, 0] == 1) & (truth[:, 1] == 1)
    counts = observations.labels.alarms.sums(image=3, prediction=2, truth=2)
    assert counts[:, 0, 1].tolist() == alarms.sum((1, 2)).tolist()
    assert observations.labels.absences[0, 1] == ((truth[:, 0] == 0) & (truth[:, 1] == 1)).sum()
    assert len(observations.uncalibrated) == 2
    scores = task.scores(torch.from_numpy(observations.labels.histogram))
    found, missed, alarm = (observations.confusion[cell] for cell in ((0, 0), (0, 2), (2, 0)))
    assert scores["iou/a"] == found / (found + missed + alarm)
