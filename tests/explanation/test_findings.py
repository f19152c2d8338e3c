"""A planted failure is the first finding, and what is not there is not found."""

import re

import numpy as np
import pytest
import torch

from lightseg.explanation.collect import collect
from lightseg.explanation.error_types import PARTS
from lightseg.explanation.findings import find
from lightseg.explanation.text import evidence, sentence
from lightseg.labels import IGNORE
from tests.explanation.fabricate import Data, Oracle, discs

CLASSES = ("ground", "disc", "square")


def seen(spoil, images=None, masks=None, classes=CLASSES, kind="segmentation"):
    if images is None:
        images, masks = discs()
    return collect(Oracle(kind, classes, spoil), Data(images, masks, classes), "test")


def noisy(said, share=0.05):
    """Errors anywhere, that fall on classes as often as these are said."""
    rng = np.random.default_rng(int(said.sum()))
    drawn = torch.from_numpy(rng.permutation(said.flatten().numpy()).reshape(said.shape))
    return torch.where(torch.from_numpy(rng.random(said.shape) < share), drawn, said)


@pytest.mark.parametrize("other", [0, 2])
def test_find__a_class_that_is_destroyed_in_the_left_half(other):
    def spoil(truth):
        left = truth[..., : truth.shape[-1] // 2]
        left[left == 1] = other
        return noisy(truth)

    found = seen(spoil)
    first = find(found)[0]

    assert (first.what.label, first.what.facet.name, first.what.level, first.holds) == (1, "across", 0, True)
    said = sentence(first, found)
    assert re.match(
        r"disc: (99|100)\.\d % of its pixels in the left half are missed, [45]\.\d % in the right half", said
    )
    assert re.search(r"; 3\d of 41 objects in the left half are missed whole$", said)
    assert f"of the missed ones are predicted as {CLASSES[other]}; " in said
    assert "p < 0.001, corrected for all that was looked at" in evidence(first, found)


def test_find__each_tells_of_what_those_before_it_leave():
    def spoil(truth):
        half = truth.shape[-1] // 2
        left, bottom = truth[..., :half], truth[..., half:, :]
        left[left == 1] = 0
        bottom[bottom == 2] = 0
        return noisy(truth)

    found = find(seen(spoil))

    assert {(each.what.label, each.what.facet.name, each.what.level) for each in found[:2]} == {
        (1, "across", 0),
        (2, "down", 1),
    }
    # nothing of the two is told again
    assert not [each for each in found[2:] if each.what.rate > 0.5]


def test_find__of_a_class_that_was_told_of_only_the_remainder():
    def spoil(truth):
        half = truth.shape[-1] // 2
        left, corner = truth[..., :half], truth[..., half:, half:]
        left[left == 1] = 0
        corner[corner == 1] = 2
        return truth

    found = seen(spoil)
    first, second = (sentence(each, found) for each in find(found)[:2])

    assert first.startswith("disc: 100.0 % of its pixels in the left half are missed, ")
    # all in the left half are said to be ground, and are not told of again
    assert second == (
        "disc, apart from the above: 100.0 % of its pixels in the bottom half are missed, 0.0 % in the top half; 100 % "
        "of the missed ones are predicted as square"
    )


def test_find__whole_objects_that_are_missed_everywhere():
    found = seen(lambda truth: truth.where(truth != 2, 0))
    first = find(found)[0]

    assert first.what.kind == "missed"
    assert sentence(first, found).startswith("square: 100.0 % of its pixels are in objects that are missed whole (")


def test_find__of_errors_without_a_pattern_none_holds():
    assert not [each for each in find(seen(noisy)) if each.holds]


def test_find__without_an_error_there_is_nothing():
    assert find(seen(lambda truth: truth)) == []


def test_find__other_classes_are_those_that_are_left():
    # all of two classes is wrong, and nothing of the third
    labels, images = [0, 1, 2] * 30, [np.full((4, 4, 3), at, np.uint8) for at in range(90)]
    found = seen(lambda truth: truth.where(truth > 1, 2), images, labels, ("a", "b", "c"), "classification")

    assert [sentence(each, found).partition(";")[0] for each in find(found)] == [
        "a: 100.0 % of its images are missed, 50.0 % of other classes",
        "b: 100.0 % of its images are missed, 0.0 % of other classes, apart from the above",
    ]


def test_find__small_objects():
    small, masks = np.zeros((2, 20, 96, 96), np.uint8)
    masks[:, 28:68, 4:44] = 1
    for at in range(20):
        small[at, 4 * at : 4 * at + 10, 70:80] = 1
    masks += small
    # at either side
    masks[::2], small[::2] = masks[::2, :, ::-1].copy(), small[::2, :, ::-1].copy()
    missed = iter(torch.from_numpy(small) > 0)
    found = seen(lambda truth: truth.where(~next(missed), 0), [np.full((96, 96, 3), 9, np.uint8)] * 20, list(masks))

    assert sentence(find(found)[0], found) == (
        "disc: 100.0 % of its pixels in small objects are missed, 0.0 % in larger objects; 100 % of the missed ones "
        "are predicted as ground; 20 of these 20 objects are missed whole"
    )


@pytest.mark.parametrize("labels", [[1], [1, 1, IGNORE]])
def test_find__nothing_to_compare_with(labels):
    images = [np.full((4, 4, 3), 9, np.uint8)] * len(labels)

    assert find(seen(lambda truth: 0 * truth, images, labels, ("a", "b"), "classification")) == []


def test_find__images_that_are_dark():
    rng = np.random.default_rng(0)
    light = rng.integers(40, 220, 150)
    images = [np.full((8, 8, 3), value, np.uint8) for value in light]
    labels = rng.integers(0, 3, 150).tolist()
    dark = iter(light < np.quantile(light, 1 / 3))

    def spoil(truth):
        return torch.where(torch.tensor(next(dark)) & (truth == 1), 2, truth)

    found = seen(spoil, images, labels, ("cat", "dog", "cow"), "classification")
    first = find(found)[0]
    wrong = sum(label == 1 and value < np.quantile(light, 1 / 3) for label, value in zip(labels, light, strict=True))

    assert (first.holds, first.what.wrong, found.wrong) == (True, wrong, wrong)
    assert sentence(first, found) == (
        "dog: 100.0 % are missed in dark images, 0.0 % in other images; 100 % of the missed ones are predicted as cow"
    )


def test_find__a_class_that_is_taken_for_another_one():
    labels = [label for label in range(4) for _ in range(60)]
    images = [np.full((4, 4, 3), 9, np.uint8) for _ in labels]
    # a third of each class is wrong: dogs are said to be cows, and the others anything
    said = [label if at % 3 else 2 if label == 1 else (label + 1 + at // 3 % 3) % 4 for at, label in enumerate(labels)]
    answers = iter(said)
    found = seen(
        lambda truth: torch.full_like(truth, next(answers)),
        images,
        labels,
        ("cat", "dog", "cow", "emu"),
        "classification",
    )
    first = find(found)[0]

    assert (first.what.kind, first.what.label, first.what.level, first.holds) == ("confusion", 1, 2, True)
    others = sum(answer != 1 for answer in said)
    assert sentence(first, found) == (
        f"dog: 33.3 % of its images are predicted as cow, where {100 * said.count(2) / others / 3:.1f} % were to be "
        "expected by how often cow is predicted"
    )


def test_observe__parts_and_sizes_add_up_to_all_that_is_wrong():
    images, masks = discs(6)
    for mask in masks:
        mask[:3] = IGNORE
    found = seen(lambda truth: noisy(truth.roll(1, -1)), images, masks)
    truth = np.stack(masks)
    wrong = found.cells.where(found.cells["truth"] != found.cells["prediction"])

    assert found.confusion.sum() == (truth != IGNORE).sum()
    assert found.wrong == found.cells.sums(part=len(PARTS))[1:].sum() == wrong.sums(size=3).sum()
    assert wrong["part"].min() > 0
    # the objects are those of the truth, by the half that their centre is in
    assert found.objects.sums(across=2).sum() == len(found.objects)


def test_observe__a_split_of_void_alone():
    images, masks = discs(2)
    with pytest.raises(Exception, match="void"):
        seen(lambda truth: truth, images, [np.full_like(mask, IGNORE) for mask in masks])
