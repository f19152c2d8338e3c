import cv2
import numpy as np
import pytest
import torch

from lightseg.labels import IGNORE
from lightseg.metrics.boundary_iou import BoundaryIoU, scores
from tests.metrics.samples import one_hot_logits


def count_bands(truth, prediction, classes, **options):
    metric = BoundaryIoU(classes, **options)
    truth, prediction = (torch.as_tensor(labels, dtype=torch.int64) for labels in (truth, prediction))
    metric.update(one_hot_logits(prediction, classes), truth, torch.arange(len(truth)))
    return metric.compute()


def square(first_column):
    mask = np.zeros((6, 6), np.int64)
    mask[1:5, first_column : first_column + 4] = 1
    return mask


def test_boundary__shifted_square_by_hand():
    # two rings of 12 pixels share 3 pixels of the upper and 3 of the lower edge; of the ground, 20 pixels at the border
    # or beside the square, 16 are shared
    counts = count_bands(square(1)[None], square(2)[None], 2)
    assert counts.tolist() == [[16, 6], [20, 12], [20, 12]]
    values = scores(counts, ["ground", "square"])
    assert values == pytest.approx({"boundary_iou": 0.5, "boundary_iou/ground": 16 / 24, "boundary_iou/square": 6 / 18})


def test_boundary__interior_does_not_count():
    truth = np.zeros((1, 9, 9), np.int64)
    truth[0, 1:8, 1:8] = 1
    prediction = truth.copy()
    prediction[0, 4, 4] = 0
    # a hole in the middle has an outline of its own: 8 pixels around it, beside the ring of 24
    assert count_bands(truth, prediction, 2)[:, 1].tolist() == [24, 24, 32]


def test_boundary__class_that_is_nowhere_is_left_out_of_the_mean():
    counts = count_bands(square(1)[None], square(1)[None], 3)
    values = scores(counts, ["a", "b", "c"])
    assert values["boundary_iou"] == 1
    assert np.isnan(values["boundary_iou/c"])


def test_boundary__nothing_at_all():
    assert np.isnan(scores(torch.zeros(3, 2, dtype=torch.int64), ["a", "b"])["boundary_iou"])


def mask_to_boundary(mask, dilation_ratio):
    """Return the boundary as in github.com/bowenc0221/boundary-iou-api, `boundary_iou/utils/boundary_utils.py`."""
    h, w = mask.shape
    img_diag = np.sqrt(h**2 + w**2)
    dilation = round(dilation_ratio * img_diag)
    dilation = max(dilation, 1)
    new_mask = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    kernel = np.ones((3, 3), dtype=np.uint8)
    new_mask_erode = cv2.erode(new_mask, kernel, iterations=dilation)
    mask_erode = new_mask_erode[1 : h + 1, 1 : w + 1]
    return mask - mask_erode


def blobs(rng, height, width, classes):
    coarse = rng.integers(0, classes, (height // 8 + 1, width // 8 + 1)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int64)


@pytest.mark.parametrize("width", [0.02, 0.1])
def test_boundary__is_that_of_the_papers_code_for_each_class(width):
    rng, classes = np.random.default_rng(0), 4
    truth = np.stack([blobs(rng, 60, 83, classes) for _ in range(3)])
    prediction = np.roll(truth, 3, axis=2)
    prediction[rng.random(truth.shape) < 0.01] = 0
    truth[:, 20:26] = IGNORE
    expected = np.zeros((3, classes), np.int64)
    for target_labels, predicted_labels in zip(truth, np.where(truth == IGNORE, IGNORE, prediction), strict=True):
        for label in range(classes):
            masks = ((labels == label).astype(np.uint8) for labels in (target_labels, predicted_labels))
            bands = [mask_to_boundary(mask, width).astype(bool) for mask in masks]
            expected[:, label] += [(bands[0] & bands[1]).sum(), bands[0].sum(), bands[1].sum()]
    assert count_bands(truth, prediction, classes, width=width).tolist() == expected.tolist()


def test_boundary__does_not_depend_on_predictions_in_void():
    truth = square(1)[None].copy()
    truth[0, 2:4] = IGNORE
    prediction = square(2)[None]
    inverted_in_void = np.where(truth == IGNORE, 1 - prediction, prediction)
    assert torch.equal(count_bands(truth, prediction, 2), count_bands(truth, inverted_in_void, 2))
