import numpy as np
import pytest

from lightseg.diagnosis.masks import empty_findings, interpolation_findings
from lightseg.diagnosis.samples import Sample, look
from lightseg.labels import IGNORE


def masked(name, mask, split="train", classes=3):
    summary = Sample(split, name, name)
    look(summary, np.zeros((*mask.shape, 3), np.uint8), np.asarray(mask, np.uint8), classes)
    return summary


def halves(low, high, between=None):
    """Return a mask of two halves, with a line of another class between them."""
    mask = np.full((60, 60), low)
    mask[:, 30:] = high
    if between is not None:
        mask[:, 30] = between
    return mask


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
