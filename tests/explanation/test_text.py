"""Sentences on findings, with numbers by hand."""

import numpy as np
import pytest
import torch

from lightseg.explanation.collect import collect
from lightseg.explanation.error_slices import ErrorSlice
from lightseg.explanation.findings import ErrorFinding
from lightseg.explanation.slices import LIGHT, PLACES, SIZE
from lightseg.explanation.text import evidence, sentence
from tests.explanation.fabricate import Data, LabelData, Oracle, label_image, label_task

NO_IMAGES = np.zeros(0, np.int64), np.zeros(0)


@pytest.fixture(scope="module")
def cats():
    """Return the statistics of ten cats, of which three are predicted as dogs and one as a cow, and of ten dogs."""
    answers = iter([0] * 6 + [1] * 3 + [2] + [1] * 10)
    task = Oracle("classification", ["cat", "dog", "cow"], lambda truth: torch.full_like(truth, next(answers)))
    images = [np.full((2, 2, 3), value, np.uint8) for value in range(20)]
    return collect(task, Data(images, [0] * 10 + [1] * 10, task.classes), "test")


@pytest.fixture(scope="module")
def boxes():
    """Return the statistics of a box in either half of an image, of which the left one is missed."""

    def forget(truth):
        truth[..., :8] = 0
        return truth

    mask = np.zeros((16, 16), np.uint8)
    mask[4:8, 2:6] = mask[4:8, 10:14] = 1
    task = Oracle("segmentation", ["ground", "box"], forget)
    return collect(task, Data([np.zeros((16, 16, 3), np.uint8)], [mask], task.classes), "test")


def _finding(kind, label, level, size, wrong, rest, cells, division=None, p=0.01):
    return ErrorFinding(ErrorSlice(kind, label, level, size, wrong, rest, *NO_IMAGES, division), p, p, cells)


def test_sentence__of_class_ids(cats):
    confusion = _finding("confusion", 0, 1, 10, 3, 0.1, cats.cells)
    assert sentence(confusion, cats) == (
        "cat: 30.0 % of its images are predicted as dog, where 10.0 % were to be expected by how often dog is predicted"
    )
    missed = _finding("missed", 0, 0, 10, 4, 0.0, cats.cells)
    assert sentence(missed, cats) == (
        "cat: 40.0 % of its images are missed, 0.0 % of other classes; 75 % of the missed ones are predicted as dog"
    )
    # the last third of the images is bright, but all cats are among the first
    dark = _finding("slice", 0, 0, 7, 1, 1.0, cats.cells, LIGHT[0])
    assert sentence(dark, cats).startswith("cat: 14.3 % are missed in dark images, 100.0 % in other images")


def test_sentence__of_masks_counts_the_objects(boxes):
    left = _finding("slice", 1, 0, 16, 16, 0.0, boxes.cells, PLACES[0])
    assert sentence(left, boxes) == (
        "box: 100.0 % of its pixels in the left half are missed, 0.0 % in the right half; 100 % of the missed ones are "
        "predicted as ground; 1 of 1 objects in the left half are missed whole"
    )
    small = _finding("slice", 1, 0, 32, 16, 0.0, boxes.cells, SIZE)
    assert sentence(small, boxes).endswith("; 1 of these 2 objects are missed whole")
    missed = _finding("missed", 1, 0, 32, 16, 0.0, boxes.cells)
    assert sentence(missed, boxes) == (
        "box: 50.0 % of its pixels are in objects that are missed whole (1 of 2 objects), 0.0 % of other classes"
    )


def test_sentence__behind_a_finding_of_the_same_class(boxes):
    rest = boxes.cells.where(boxes.cells["across"] == 1)
    again = _finding("slice", 1, 0, 16, 16, 0.0, rest, PLACES[0])
    assert sentence(again, boxes).startswith("box, apart from the above: 100.0 % of its pixels in the left half")
    assert "objects" not in sentence(again, boxes)


def test_evidence__extent_and_significance(cats):
    sure = _finding("missed", 0, 0, 10, 4, 0.1, cats.cells, p=0.004)
    assert evidence(sure, cats).startswith(
        "3 wrong images more than at the rate elsewhere, 75.0 % of all errors · 10 images with cat · p "
    )
    assert evidence(sure, cats).endswith("corrected for all that was looked at")
    doubtful = _finding("confusion", 0, 1, 10, 3, 0.1, cats.cells, p=0.2)
    assert "2 wrong images more than were to be expected" in evidence(doubtful, cats)
    assert evidence(doubtful, cats).endswith(": may be chance")


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_sentence__of_the_absence_of_a_class(kind):
    size = (8, 8) if kind == "classification" else None
    labels = np.zeros((2, *(() if size else (8, 8))), np.uint8)
    task = label_task(kind, ("road", "car"))
    data = LabelData([label_image(labels, size)], [np.moveaxis(labels, 0, -1)], task.classes)
    observations = collect(task, data, "test")
    invented = _finding("invented", 3, 0, 64, 16, 0.125, observations.cells)
    dark = _finding("slice", 3, 0, 64, 16, 0.125, observations.cells, LIGHT[0])
    texts = {
        "segmentation": (
            "car: 25.0 % of the pixels without it are in objects that are invented whole, 12.5 % of other classes",
            "car: 25.0 % of the pixels without it in dark images are false alarms, 12.5 % in other images",
        ),
        "classification": (
            "car: 25.0 % of the images without it are false alarms, 12.5 % of other classes",
            "car: 25.0 % of the images without it are false alarms in dark images, 12.5 % in other images",
        ),
    }
    assert (sentence(invented, observations), sentence(dark, observations)) == texts[kind]
