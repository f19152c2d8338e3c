"""Completeness of the counts of a scored split."""

import numpy as np
import pytest
import torch

from lightseg.errors import RunError
from lightseg.evaluation.counts import require_all

# two images of two classes: pixels of each class, and image, class, right, true and predicted pixels
CLASS_COUNTS = np.array([[3, 1], [0, 2]])
CONFUSION, RIGHT = torch.tensor([[2, 1], [1, 2]]), 4
PER_IMAGE = torch.tensor([[0, 0, 2, 3, 2], [0, 1, 1, 1, 2], [1, 0, 0, 0, 1], [1, 1, 1, 2, 1]])


def test_require_all__complete_counts():
    require_all(CONFUSION.sum(1), RIGHT, PER_IMAGE, CLASS_COUNTS, "val")


def test_require_all__a_pixel_counted_twice():
    with pytest.raises(RunError, match=r"val holds 6 valid pixels \(or samples\), but 7 were counted"):
        require_all(torch.tensor([4, 3]), 5, PER_IMAGE, CLASS_COUNTS, "val")


@pytest.mark.parametrize(("row", "column", "value"), [(0, 3, 2), (1, 2, 0)], ids=["true", "right"])
def test_require_all__counts_of_an_image_that_do_not_add_up(row, column, value):
    per_image = PER_IMAGE.clone()
    per_image[row, column] = value
    with pytest.raises(RunError, match="test: the counts of its images do not add up to its score"):
        require_all(CONFUSION.sum(1), RIGHT, per_image, CLASS_COUNTS, "test")


def test_require_all__overlapping_classes_count_what_lacks_them_too():
    # pixels without and with each class, of two images
    truth_table = np.array([[[3, 1], [2, 2]], [[4, 0], [0, 4]]])
    truth = torch.tensor([[7, 1], [2, 6]])
    per_image = torch.tensor([[0, 0, 1, 1, 2], [0, 1, 2, 2, 2], [1, 0, 0, 0, 0], [1, 1, 3, 4, 3]])
    require_all(truth, 6, per_image, truth_table, "val")
    with pytest.raises(RunError, match=r"val holds 16 valid pixels \(or samples\), but 15 were counted"):
        require_all(truth - torch.tensor([[1, 0], [0, 0]]), 6, per_image, truth_table, "val")
