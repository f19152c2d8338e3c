"""Tables of errors whose rows add up."""

import re

import numpy as np

from lightseg.explanation.collect import collect
from lightseg.explanation.html.errors import errors
from tests.explanation.fabricate import Data, LabelData, Oracle, discs, label_image, label_task

CLASSES = ("<b>ground", "disc", "square")


def _rows(html):
    """Return the texts of the cells of each table row."""
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    ]
    return [[" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in row] for row in rows]


def _number(cell):
    return int(cell.split()[0].replace(",", ""))


def _left(truth):
    half = truth[..., : truth.shape[-1] // 2]
    half[half == 1] = 0
    return truth


def test_errors__of_masks_add_up():
    images, masks = discs(10)
    observations = collect(Oracle("segmentation", CLASSES, _left), Data(images, masks, CLASSES), "test")
    html = str(errors(observations))
    rows = _rows(html)

    assert "<b>ground" not in html
    parts = {row[0].split()[0]: row for row in rows if len(row) == 3}
    counts = [_number(parts[name][1]) for name in ("boundary", "missed", "invented", "interior")]
    assert sum(counts) == _number(parts["together"][1]) == observations.wrong
    assert parts["together"][2] == "100.0 %"
    sizes = {row[0].split()[0]: row for row in rows if len(row) == 5 and "of" in row[4]}
    assert sum(_number(sizes[size][1]) for size in ("small", "medium", "large")) == observations.wrong
    classes = {row[0]: row for row in rows if len(row) == 6}
    assert sum(map(_number, classes["disc"][1:5])) == observations.confusion[1, [0, 2]].sum()
    assert classes["square"][5] == "0.0 %"


def test_errors__of_class_ids_by_light():
    images = [np.full((4, 4, 3), 20 * value, np.uint8) for value in range(6)]
    task = Oracle("classification", CLASSES, lambda truth: truth.clamp(max=1))
    rows = _rows(str(errors(collect(task, Data(images, [0, 1, 0, 1, 2, 2], CLASSES), "test"))))

    brightness = [row for row in rows if len(row) == 4][1:5]
    assert [row[:2] for row in brightness] == [
        ["lowest third", "0"],
        ["middle third", "0"],
        ["highest third", "2"],
        ["together", "2"],
    ]
    assert brightness[2][2:] == ["100.0 %", "100.0 %"]


def test_errors__of_overlapping_masks_add_up():
    target = np.zeros((4, 2, 40, 40), np.uint8)
    target[:, 0, 5:25, 5:25], target[:, 1, 20:30, 20:30] = 1, 1
    prediction = target.copy()
    # one object of the second class is missed, one of the first is invented and has a hole
    prediction[0, 1], prediction[1, 0, 30:36, 30:36], prediction[1, 0, 10:12, 10:12] = 0, 1, 0
    task = label_task("segmentation", ("road", "car"))
    images = [label_image(mask) for mask in prediction]
    observations = collect(task, LabelData(images, [mask.transpose(1, 2, 0) for mask in target], task.classes), "test")
    html = str(errors(observations))
    rows = {row[0].split()[0]: row[1:] for row in reversed(_rows(html))}

    assert [rows[name][0] for name in ("boundary", "invented", "interior")] == ["0", "36", "4"]
    assert "a pixel is counted for each class about which it is wrong" in html
    assert observations.wrong == 140
    assert rows["road"] == ["0", "0", "36", "4", "0.6 %"]
    assert rows["car"] == ["0", "100", "0", "0", "1.6 %"]
    # those with an object: the road of 400 pixels and the car of 100 are small
    assert rows["small"] == ["104", "74.3 %", "5.2 %", "1 of 8"]
