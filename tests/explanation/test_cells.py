"""Cells of single images, counted by hand."""

import numpy as np
import torch

from lightseg.explanation.cells import coincidences, image_cells, label_mask_cells, mask_cells
from lightseg.explanation.error_types import INVENTED, MISSED, PARTS
from lightseg.labels import IGNORE


def test_mask_cells__every_valid_pixel_is_in_one():
    target = np.zeros((20, 20), np.int64)
    target[:, 10:], target[0] = 1, IGNORE
    cells, objects = mask_cells(target, np.zeros_like(target), 3)

    assert cells.sums(truth=3, prediction=3).tolist() == [[190, 0, 0], [190, 0, 0], [0, 0, 0]]
    assert objects.sums(truth=3, missed=2).tolist() == [[1, 0], [0, 1], [0, 0]]


def test_image_cells__of_a_class_id_and_of_labels():
    cells = image_cells(np.array(2), np.array(1))
    assert {name: values.tolist() for name, values in cells.columns.items()} == {
        "truth": [2],
        "prediction": [1],
        "count": [1],
    }
    assert len(image_cells(np.array(IGNORE), np.array(1))) == 0
    # found, missed, void, a false alarm, and rightly absent
    cells = image_cells(np.array([1, 1, IGNORE, 0, 0], np.uint8), np.array([1, 0, 1, 1, 0], np.uint8))
    assert (cells["truth"].tolist(), cells["prediction"].tolist()) == ([0, 1, 8, 9], [0, 6, 3, 9])


def test_label_mask_cells__presence_and_absence_of_each_class():
    target, prediction = np.zeros((2, 2, 20, 20), np.uint8)
    # of the first class, an object of 100 pixels is missed; of the second, one of 25 is invented, and a row is void
    target[0, :10, :10], target[1, 19], prediction[1, 12:17, 12:17] = 1, IGNORE, 1
    cells, objects = label_mask_cells(target, prediction)

    confusion = np.zeros((4, 4), int)
    confusion[0, 2], confusion[2, 2], confusion[3, 1], confusion[3, 3] = 100, 300, 25, 400 - 25 - 20
    assert cells.sums(truth=4, prediction=4).tolist() == confusion.tolist()
    parts = cells.sums(truth=4, part=len(PARTS))
    assert (parts[0, MISSED], parts[3, INVENTED]) == (100, 25)
    assert parts[:, 1:].sum() == 125
    # the absence of a class is no object
    assert objects.sums(truth=4, missed=2).tolist() == [[0, 1], [0, 0], [0, 0], [0, 0]]
    assert objects.sums(truth=4, across=2)[0].tolist() == [1, 0]


def test_label_mask_cells__of_void_only_there_is_none():
    void = np.full((2, 8, 8), IGNORE, np.uint8)
    cells, objects = label_mask_cells(void, np.zeros_like(void))
    assert (len(cells), len(objects)) == (0, 0)


def test_coincidences__other_classes_where_one_is_not(monkeypatch):
    monkeypatch.setattr("lightseg.explanation.cells._AT_ONCE", 2)
    target = torch.tensor([[0, 0, 0, 1, IGNORE], [1, 1, 0, 1, 1]])
    prediction = torch.tensor([[1, 0, 1, 1, 1], [0, 1, 1, 0, 0]])
    absences, alarms = coincidences(target, prediction)

    # of three pixels without the first class two have the second; of its two false alarms one
    assert absences.tolist() == [[0, 2], [0, 0]]
    assert alarms.tolist() == [[0, 1], [0, 0]]
    masks = [values.reshape(2, 5, 1) for values in (target, prediction)]
    assert [counts.tolist() for counts in coincidences(*masks)] == [absences.tolist(), alarms.tolist()]
