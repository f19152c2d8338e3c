"""Findings: a planted failure is the first, and errors without a pattern are not significant."""

import re

import numpy as np
import pytest
import torch

from lightseg.explanation.collect import collect
from lightseg.explanation.findings import find
from lightseg.explanation.text import evidence, sentence
from lightseg.labels import IGNORE
from tests.explanation.fabricate import Data, LabelData, Oracle, discs, label_image, label_task

CLASSES = ("ground", "disc", "square")


def observe(spoil, images=None, masks=None, classes=CLASSES, kind="segmentation"):
    if images is None:
        images, masks = discs()
    return collect(Oracle(kind, classes, spoil), Data(images, masks, classes), "test")


def add_noise(prediction, share=0.05):
    """Replace random pixels by classes as frequent as in the prediction."""
    rng = np.random.default_rng(int(prediction.sum()))
    permuted = torch.from_numpy(rng.permutation(prediction.flatten().numpy()).reshape(prediction.shape))
    return torch.where(torch.from_numpy(rng.random(prediction.shape) < share), permuted, prediction)


@pytest.mark.parametrize("predicted", [0, 2])
def test_find__class_missed_in_the_left_half(predicted):
    def spoil(truth):
        left = truth[..., : truth.shape[-1] // 2]
        left[left == 1] = predicted
        return add_noise(truth)

    observations = observe(spoil)
    first = find(observations)[0]

    assert (
        first.error_slice.label,
        first.error_slice.division.name,
        first.error_slice.level,
        first.is_significant,
    ) == (1, "across", 0, True)
    text = sentence(first, observations)
    assert re.match(
        r"disc: (99|100)\.\d % of its pixels in the left half are missed, [45]\.\d % in the right half", text
    )
    assert re.search(r"; 3\d of 41 objects in the left half are missed whole$", text)
    assert f"of the missed ones are predicted as {CLASSES[predicted]}; " in text
    assert "p < 0.001, corrected for all that was looked at" in evidence(first, observations)


def test_find__excludes_the_cells_of_earlier_findings():
    def spoil(truth):
        half = truth.shape[-1] // 2
        left, bottom = truth[..., :half], truth[..., half:, :]
        left[left == 1] = 0
        bottom[bottom == 2] = 0
        return add_noise(truth)

    findings = find(observe(spoil))

    assert {
        (finding.error_slice.label, finding.error_slice.division.name, finding.error_slice.level)
        for finding in findings[:2]
    } == {
        (1, "across", 0),
        (2, "down", 1),
    }
    # no later finding repeats the two
    assert not [finding for finding in findings[2:] if finding.error_slice.rate > 0.5]


def test_find__remainder_of_a_class_with_an_earlier_finding():
    def spoil(truth):
        half = truth.shape[-1] // 2
        left, corner = truth[..., :half], truth[..., half:, half:]
        left[left == 1] = 0
        corner[corner == 1] = 2
        return truth

    observations = observe(spoil)
    first, second = (sentence(finding, observations) for finding in find(observations)[:2])

    assert first.startswith("disc: 100.0 % of its pixels in the left half are missed, ")
    # the left half, predicted as ground, is part of the first finding only
    assert second == (
        "disc, apart from the above: 100.0 % of its pixels in the bottom half are missed, 0.0 % in the top half; 100 % "
        "of the missed ones are predicted as square"
    )


def test_find__objects_missed_everywhere():
    observations = observe(lambda truth: truth.where(truth != 2, 0))
    first = find(observations)[0]

    assert first.error_slice.kind == "missed"
    assert sentence(first, observations).startswith(
        "square: 100.0 % of its pixels are in objects that are missed whole ("
    )


def test_find__errors_without_a_pattern_are_not_significant():
    assert not [finding for finding in find(observe(add_noise)) if finding.is_significant]


def test_find__nothing_without_errors():
    assert find(observe(lambda truth: truth)) == []


def test_find__compares_with_the_remaining_classes():
    # two classes are entirely wrong, the third is right
    labels, images = [0, 1, 2] * 30, [np.full((4, 4, 3), at, np.uint8) for at in range(90)]
    observations = observe(lambda truth: truth.where(truth > 1, 2), images, labels, ("a", "b", "c"), "classification")

    assert [sentence(finding, observations).partition(";")[0] for finding in find(observations)] == [
        "a: 100.0 % of its images are missed, 50.0 % of other classes",
        "b: 100.0 % of its images are missed, 0.0 % of other classes, apart from the above",
    ]


def test_find__small_objects():
    small, masks = np.zeros((2, 20, 96, 96), np.uint8)
    masks[:, 28:68, 4:44] = 1
    for at in range(20):
        small[at, 4 * at : 4 * at + 10, 70:80] = 1
    masks += small
    # mirror every second image
    masks[::2], small[::2] = masks[::2, :, ::-1].copy(), small[::2, :, ::-1].copy()
    missed = iter(torch.from_numpy(small) > 0)
    observations = observe(
        lambda truth: truth.where(~next(missed), 0), [np.full((96, 96, 3), 9, np.uint8)] * 20, list(masks)
    )

    assert sentence(find(observations)[0], observations) == (
        "disc: 100.0 % of its pixels in small objects are missed, 0.0 % in larger objects; 100 % of the missed ones "
        "are predicted as ground; 20 of these 20 objects are missed whole"
    )


@pytest.mark.parametrize("labels", [[1], [1, 1, IGNORE]])
def test_find__single_class_has_no_comparison(labels):
    images = [np.full((4, 4, 3), 9, np.uint8)] * len(labels)

    assert find(observe(lambda truth: 0 * truth, images, labels, ("a", "b"), "classification")) == []


def test_find__dark_images():
    rng = np.random.default_rng(0)
    light = rng.integers(40, 220, 150)
    images = [np.full((8, 8, 3), value, np.uint8) for value in light]
    labels = rng.integers(0, 3, 150).tolist()
    dark = iter(light < np.quantile(light, 1 / 3))

    def spoil(truth):
        return torch.where(torch.tensor(next(dark)) & (truth == 1), 2, truth)

    observations = observe(spoil, images, labels, ("cat", "dog", "cow"), "classification")
    first = find(observations)[0]
    wrong = sum(label == 1 and value < np.quantile(light, 1 / 3) for label, value in zip(labels, light, strict=True))

    assert (first.is_significant, first.error_slice.wrong, observations.wrong) == (True, wrong, wrong)
    assert sentence(first, observations) == (
        "dog: 100.0 % are missed in dark images, 0.0 % in other images; 100 % of the missed ones are predicted as cow"
    )


def test_find__confusion():
    labels = [label for label in range(4) for _ in range(60)]
    images = [np.full((4, 4, 3), 9, np.uint8) for _ in labels]
    # a third of each class is wrong: dogs are predicted as cows, the others as any class
    predicted = [
        label if at % 3 else 2 if label == 1 else (label + 1 + at // 3 % 3) % 4 for at, label in enumerate(labels)
    ]
    answers = iter(predicted)
    observations = observe(
        lambda truth: torch.full_like(truth, next(answers)),
        images,
        labels,
        ("cat", "dog", "cow", "emu"),
        "classification",
    )
    first = find(observations)[0]

    assert (first.error_slice.kind, first.error_slice.label, first.error_slice.level, first.is_significant) == (
        "confusion",
        1,
        2,
        True,
    )
    expected = predicted.count(2) / sum(answer != 1 for answer in predicted) / 3
    assert sentence(first, observations) == (
        f"dog: 33.3 % of its images are predicted as cow, where {100 * expected:.1f} % were to be "
        "expected by how often cow is predicted"
    )


def test_find__false_alarms_of_an_overlapping_class():
    images, targets = [], []
    for count in range(30):
        target = np.zeros((2, 20, 20), np.uint8)
        target[0, 4:16, 2 + count % 4 : 17] = 1
        # the second class is predicted in the left half of half of the images
        prediction = target.copy()
        prediction[1, :, :10] = count % 2
        images.append(label_image(prediction))
        targets.append(target.transpose(1, 2, 0))
    task = label_task("segmentation", ("road", "car"))
    observations = collect(task, LabelData(images, targets, task.classes), "test")
    first = find(observations)[0]

    assert (first.error_slice.label, first.error_slice.kind, first.is_significant) == (3, "slice", True)
    assert sentence(first, observations) == (
        "car: 50.0 % of the pixels without it in the left half are false alarms, 0.0 % in the right half"
    )
    extent = "3,000 wrong pixels more than at the rate elsewhere, 100.0 % of all errors"
    assert evidence(first, observations).startswith(f"{extent} · 30 images with pixels without car · p < 0.001, ")


def test_find__missed_labels():
    labels = np.random.default_rng(0).integers(0, 2, (80, 2)).astype(np.uint8)
    # the first class is always right, and the second never found
    images = [label_image([first, 0], (4, 4)) for first, _ in labels]
    task = label_task("classification", ("cat", "dog"))
    observations = collect(task, LabelData(images, list(labels), task.classes), "test")

    assert sentence(find(observations)[0], observations) == (
        "dog: 100.0 % of its images are missed, 0.0 % of other classes"
    )
