"""Figures of a run."""

import json

import numpy as np
import pytest
from PIL import Image

from lightseg.labels import IGNORE, VOID
from lightseg.visualization.examples import Example, write_examples
from lightseg.visualization.figures import (
    classification_examples,
    colorize,
    confusion_matrix,
    errors,
    example_folder,
    label_errors,
    learning_curve,
    precision_recall,
    row_shares,
    segmentation_examples,
)

PALETTE = [(10, 20, 30), (200, 0, 0)]
# matplotlib would take it for mathematics, and fail
CLASSES = ["$x_", "car"]


@pytest.mark.parametrize("shape", [(), (2,), (4, 6), (2, 4, 6)], ids=["label", "labels", "mask", "masks"])
def test_example_folder__looks_as_its_examples_drawn_at_once(tmp_path, shape):
    image, ids = np.full((4, 6, 3), 90, np.uint8), np.ones(shape, np.int64)
    examples = [Example("one", image, ids, 0 * ids), Example("two", image, ids, ids)]
    example_folder(tmp_path / "missing", tmp_path / "missing.png")
    assert not (tmp_path / "missing.png").exists()
    write_examples(tmp_path / "stored", examples, CLASSES, PALETTE)
    example_folder(tmp_path / "stored", tmp_path / "stored.png")
    if len(shape) >= 2:
        segmentation_examples(examples, CLASSES, PALETTE, tmp_path / "direct.png")
    else:
        classification_examples(examples, CLASSES, tmp_path / "direct.png")
    with Image.open(tmp_path / "stored.png") as stored, Image.open(tmp_path / "direct.png") as direct:
        assert stored.tobytes() == direct.tobytes()


def test_row_shares__a_class_without_pixels_stays_0():
    assert row_shares(np.array([[3, 1], [0, 0]])).tolist() == [[0.75, 0.25], [0, 0]]


def test_colorize_and_errors__void_is_white():
    mask = np.array([[0, 1, IGNORE]], np.uint8)
    assert colorize(mask, PALETTE).tolist() == [[[10, 20, 30], [200, 0, 0], [255, 255, 255]]]
    right, wrong, void = errors(mask, np.array([[0, 0, 0]]))[0].tolist()
    assert right[0] == right[1] == right[2] < 255
    assert wrong[0] > wrong[1] == wrong[2]
    assert void == [255, 255, 255]


def _colors(path):
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    return pixels, {tuple(color) for color in pixels.reshape(-1, 3).tolist()}


@pytest.mark.pictures
def test_figures__show_their_data(tmp_path):
    rows = [{"step": step, "train/loss": 1 / (step + 1), "val/score": None} for step in range(3)]
    rows.append({"step": 2, "val/loss": 0.5, "val/score": 0.25})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    learning_curve(tmp_path, tmp_path / "images/curve.png")
    # both axes have a curve in matplotlib's first color
    pixels, colors = _colors(tmp_path / "images/curve.png")
    assert (31, 119, 180) in colors
    is_blue = (pixels == (31, 119, 180)).all(2).any(0)
    assert is_blue[: len(is_blue) // 2].any()
    assert is_blue[len(is_blue) // 2 :].any()

    confusion_matrix(np.array([[4, 0], [2, 2]]), CLASSES, tmp_path / "matrix.png")
    # the darkest blue is a share of 1
    assert (8, 48, 107) in _colors(tmp_path / "matrix.png")[1]

    mask = np.zeros((8, 8), np.int64)
    mask[:4], mask[7] = 1, IGNORE
    example = Example("a.png", np.full((8, 8, 3), 77, np.uint8), mask, np.zeros_like(mask))
    segmentation_examples([example] * 2, CLASSES, PALETTE, tmp_path / "masks.png")
    assert {(77, 77, 77), (10, 20, 30), (200, 0, 0), (200, 30, 30)} <= _colors(tmp_path / "masks.png")[1]

    images = [Example(str(k), np.full((4, 4, 3), 60, np.uint8), np.array(k % 2), np.array(0)) for k in range(10)]
    classification_examples(images, CLASSES, tmp_path / "grid.png")
    # ten images in two rows of eight cells
    assert _colors(tmp_path / "grid.png")[0].shape == (374, 1320, 3)


# pixels of two classes that may overlap: none, one, both, void and none, void and one
MASKS = np.array([[[0, 1, 1, 0, 1]], [[0, 0, 1, IGNORE, IGNORE]]])


def test_colorize__overlapping_classes_are_mixed():
    colors = colorize(MASKS, [(200, 0, 0), (0, 100, 0)]).tolist()
    assert colors == [[[0, 0, 0], [200, 0, 0], [100, 50, 0], list(VOID), [200, 0, 0]]]


def test_errors__of_overlapping_classes_are_those_of_any():
    prediction = np.array([[[0, 1, 0, 0, 0]], [[0, 1, 1, 1, 1]]])
    right, wrong, *others = errors(MASKS, prediction)[0].tolist()
    assert right != wrong
    assert others == [wrong, right, wrong]
    assert errors(np.full_like(MASKS, IGNORE), prediction)[0].tolist() == [list(VOID)] * 5


@pytest.mark.pictures
def test_precision_recall__draws_the_classes_that_occur(tmp_path):
    histogram = np.random.default_rng(0).integers(0, 9, (3, 2, 1024))
    histogram[2, 1] = 0
    precision_recall(histogram, ["a", "b", "absent"], [*PALETTE, (0, 0, 99)], tmp_path / "curves.png")
    assert {(10, 20, 30), (200, 0, 0)} <= _colors(tmp_path / "curves.png")[1]


def test_label_errors__tell_false_alarms_from_missed_pixels():
    target, prediction = np.array([[0, 0, 1, 1, IGNORE]]), np.array([[0, 1, 0, 1, 1]])
    absent, alarm, missed, found, void = label_errors(target, prediction)[0].tolist()
    assert (absent, void) == ([0, 0, 0], list(VOID))
    # red and blue
    assert (np.argmax(alarm), np.argmax(missed)) == (0, 2)
    assert len(set(found)) == 1
