import numpy as np
import pytest

from lightseg.data import Shapes
from lightseg.diagnosis.classes import tiny_findings, typical_side
from lightseg.diagnosis.masks import empty_findings, interpolation_findings
from lightseg.diagnosis.samples import Sample, look
from lightseg.diagnosis.sequences import sequence_findings
from lightseg.labels import IGNORE


def masked(name, mask, split="train", classes=3):
    made = Sample(split, name, name)
    look(made, np.zeros((*mask.shape, 3), np.uint8), np.asarray(mask, np.uint8), classes)
    return made


def halves(low, high, between=None):
    """A mask of two halves, with a line of another class between them."""
    mask = np.full((60, 60), low)
    mask[:, 30:] = high
    if between is not None:
        mask[:, 30] = between
    return mask


def test_look__counts_by_hand():
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :2], mask[3, 3:], mask[2, 0] = 1, 1, IGNORE
    made = Sample("train", "a", "a")
    image = np.full((4, 5, 3), 51, np.uint8)
    image[..., 1] = 255
    look(made, image, mask, 3)
    assert made.counts.tolist() == [15, 4, 0, 1]
    assert sorted(made.objects[1].tolist()) == [2, 2]
    number, total, squares = made.pixels
    assert number == 20
    np.testing.assert_allclose(total / 20, [0.2, 1, 0.2])
    np.testing.assert_allclose(squares / 20, [0.04, 1, 0.04])


def test_interpolation__line_between_lower_and_higher_ids():
    strange = masked("b", halves(0, 2, between=1))
    clean = [masked("a", halves(0, 2)), masked("c", halves(0, 1)), masked("d", halves(2, 1))]
    (finding,) = interpolation_findings([strange, *clean], ["ground", "line", "cell"])
    assert (finding.severity, list(finding.files)) == ("warning", ["b"])
    assert "line" in finding.what


def test_interpolation__outline_class_in_every_mask_is_a_note():
    masks = [masked(str(i), halves(0, 2, between=1)) for i in range(5)]
    (finding,) = interpolation_findings(masks, ["ground", "outline", "cell"])
    assert finding.severity == "note"


def test_interpolation__line_of_a_class_that_is_more_than_lines_is_a_warning_however_many_masks():
    solid = np.zeros((60, 60))
    solid[:30] = 1
    masks = [masked(str(i), halves(0, 2, between=1)) for i in range(5)] + [masked("solid", solid)]
    (finding,) = interpolation_findings(masks, ["ground", "disc", "box"])
    assert (finding.severity, len(finding.files)) == ("warning", 5)


def test_interpolation__void_and_the_highest_id_are_not_between():
    masks = [masked("a", halves(0, 1, between=2)), masked("b", halves(0, 1, between=IGNORE))]
    assert interpolation_findings(masks, ["a", "b", "c"]) == []


@pytest.mark.parametrize(("bare", "severity"), [(1, "warning"), (8, "note")])
def test_empty__background_alone_is_an_exception_or_the_rule(bare, severity):
    masks = [masked(str(i), np.zeros((50, 50)) if i < bare else halves(0, 1)) for i in range(10)]
    (finding,) = empty_findings(masks, ["ground", "a", "b"])
    assert (finding.severity, len(finding.files)) == (severity, bare)


def test_typical_side__specks_count_little():
    assert typical_side(np.array([1] * 50 + [400])) == 20
    assert typical_side(np.array([4, 4, 4])) == 2


def test_tiny__class_of_specks():
    data = Shapes()
    drawn = [{1: np.array([4, 9]), 2: np.array([100])}] * 4
    (finding,) = tiny_findings(data, drawn)
    assert "circle (3.0 pixels)" in finding.what
    assert "square" not in finding.what


def named(split, name, picture):
    made = Sample(split, name, name)
    look(made, picture, 0, 2)
    return made


def frames(video, group, split, numbers):
    """Pictures with numbers: frames of one scene, or each another one."""
    pictures = Shapes(train_size=60, data_seed=sum(map(ord, group))).dataset("train")
    return [named(split, f"{group}_{n:03}.png", np.roll(pictures[0 if video else n][0], n, 1)) for n in numbers]


@pytest.mark.parametrize(("video", "severity"), [(True, "warning"), (False, "note")])
def test_sequences__names_alone_are_a_note_and_looks_a_warning(video, severity):
    samples = frames(video, "a", "train", range(8)) + frames(video, "b", "train", range(8))
    samples += frames(video, "b", "val", range(8, 14))
    (finding,) = sequence_findings(Shapes(), samples)
    assert finding.severity == severity
    assert "val is one" in finding.what


def test_sequences__in_splits_of_their_own_are_fine():
    samples = frames(True, "a", "train", range(8)) + frames(True, "b", "val", range(8))
    assert sequence_findings(Shapes(), samples) == []
