import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightseg.labels import IGNORE
from lightseg.metrics.boundary_iou import BoundaryIoU, scores


def logits_of(prediction, classes):
    return F.one_hot(torch.as_tensor(prediction, dtype=torch.int64), classes).movedim(-1, 1).float()


def counted(truth, prediction, classes, **options):
    metric = BoundaryIoU(classes, **options)
    truth, prediction = (torch.as_tensor(each, dtype=torch.int64) for each in (truth, prediction))
    metric.update(logits_of(prediction, classes), truth, torch.arange(len(truth)))
    return metric.compute()


def squares(left):
    mask = np.zeros((6, 6), np.int64)
    mask[1:5, left : left + 4] = 1
    return mask


def test_boundary__shifted_square_by_hand():
    # two rings of 12 pixels share 3 pixels of the upper and 3 of the lower edge; of the ground, 20 pixels at the border
    # or beside the square, 16 are shared
    counts = counted(squares(1)[None], squares(2)[None], 2)
    assert counts.tolist() == [[16, 6], [20, 12], [20, 12]]
    named = scores(counts, ["ground", "square"])
    assert named == pytest.approx({"boundary_iou": 0.5, "boundary_iou/ground": 16 / 24, "boundary_iou/square": 6 / 18})


def test_boundary__interior_does_not_count():
    truth = np.zeros((1, 9, 9), np.int64)
    truth[0, 1:8, 1:8] = 1
    prediction = truth.copy()
    prediction[0, 4, 4] = 0
    # a hole in the middle has an outline of its own: 8 pixels around it, beside the ring of 24
    assert counted(truth, prediction, 2)[:, 1].tolist() == [24, 24, 32]


def test_boundary__class_that_is_nowhere_is_left_out_of_the_mean():
    counts = counted(squares(1)[None], squares(1)[None], 3)
    named = scores(counts, ["a", "b", "c"])
    assert named["boundary_iou"] == 1
    assert np.isnan(named["boundary_iou/c"])


def test_boundary__nothing_at_all():
    assert np.isnan(scores(torch.zeros(3, 2, dtype=torch.int64), ["a", "b"])["boundary_iou"])


def mask_to_boundary(mask, dilation_ratio):
    """As in github.com/bowenc0221/boundary-iou-api, `boundary_iou/utils/boundary_utils.py`."""
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
    for true, said in zip(truth, np.where(truth == IGNORE, IGNORE, prediction), strict=True):
        for label in range(classes):
            bands = [mask_to_boundary((each == label).astype(np.uint8), width).astype(bool) for each in (true, said)]
            expected[:, label] += [(bands[0] & bands[1]).sum(), bands[0].sum(), bands[1].sum()]
    assert counted(truth, prediction, classes, width=width).tolist() == expected.tolist()


def test_boundary__does_not_depend_on_what_is_said_of_void():
    truth = squares(1)[None].copy()
    truth[0, 2:4] = IGNORE
    prediction = squares(2)[None]
    other = np.where(truth == IGNORE, 1 - prediction, prediction)
    assert torch.equal(counted(truth, prediction, 2), counted(truth, other, 2))
