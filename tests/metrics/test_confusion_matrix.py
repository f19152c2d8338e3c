import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from lightseg.metrics.confusion_matrix import ConfusionMatrix, PerImageCounts
from lightseg.metrics.scores import confusion_to_counts, iou
from tests.metrics.samples import SAMPLES, count, sample_labels

every_sample = pytest.mark.parametrize(("prediction", "target"), SAMPLES.values(), ids=SAMPLES)


@every_sample
def test_confusion_matrix__is_that_of_sklearn(prediction, target):
    valid = target != IGNORE
    expected = sklearn_metrics.confusion_matrix(target[valid], prediction[valid], labels=range(6))
    counts = count(prediction, target)
    assert counts.dtype == torch.int64
    assert counts.tolist() == expected.tolist()


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_confusion_matrix__batch_size_does_not_matter(batch_size):
    prediction, target = SAMPLES["all_present"]
    metric = ConfusionMatrix(6)
    for part in zip(prediction.split(batch_size), target.split(batch_size), strict=True):
        metric.update(*part)
    assert torch.equal(metric.compute(), count(prediction, target))


def test_confusion_matrix__shards_add_up():
    prediction, target = SAMPLES["all_present"]
    shards = [count(prediction[rank::2], target[rank::2]) for rank in range(2)]
    assert torch.equal(sum(shards), count(prediction, target))
    assert ConfusionMatrix(6)._reductions["counts"].__name__ == "dim_zero_sum"


def test_confusion_matrix__prediction_under_ignore_may_be_anything():
    target = torch.tensor([0, IGNORE, IGNORE, IGNORE])
    assert count(torch.tensor([1, -1, 99, 255]), target, 2).tolist() == [[0, 1], [0, 0]]


def test_confusion_matrix__narrow_integers_do_not_overflow():
    prediction, target = sample_labels(0, classes=100)
    assert torch.equal(count(prediction.byte(), target.byte(), 100), count(prediction, target, 100))


@pytest.mark.parametrize("shape", [(0,), (0, 4, 4)])
def test_confusion_matrix__an_empty_batch_counts_nothing(shape):
    empty = torch.zeros(shape, dtype=torch.int64)
    assert count(empty, empty, 2).sum() == 0


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([0, 1], [0, 3], r"target has \[3\], not class ids in \[0, 3\) or 255"),
        ([0, 1], [0, -1], r"target has \[-1\]"),
        ([0, 7], [0, 1], r"prediction has \[7\]"),
        ([0, 7], [0], "differ in shape"),
    ],
)
def test_confusion_matrix__refuses_what_is_out_of_range(prediction, target, message):
    metric = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        metric.update(torch.tensor(prediction), torch.tensor(target))
    assert metric.counts.sum() == 0


@pytest.mark.parametrize("classes", [0, 256])
def test_confusion_matrix__refuses_a_class_that_would_be_void(classes):
    with pytest.raises(ConfigError, match="1 to 255"):
        ConfusionMatrix(classes)


def test_confusion_matrix__reset_empties_it_and_nothing_is_saved():
    metric = ConfusionMatrix(2)
    metric.update(torch.tensor([0, 1]), torch.tensor([1, 1]))
    assert metric.state_dict() == {}
    metric.reset()
    assert metric.counts.tolist() == [[0, 0], [0, 0]]
    assert metric.counts.dtype == torch.int64


def test_confusion_matrix__use_as_a_metric_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric = ConfusionMatrix(2)
        assert metric(torch.tensor([0, 1]), torch.tensor([1, 1])).tolist() == [[0, 0], [1, 1]]
        assert metric.half().compute().dtype == torch.int64


def test_confusion_matrix__is_exact_beyond_float32():
    metric = ConfusionMatrix(2)
    metric.counts[0, 0] = 2**24
    metric.update(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    assert metric.compute()[0, 0] == 2**24 + 1
    assert iou(confusion_to_counts(np.array([[2**24, 1], [0, 1]])))[0] == 2**24 / (2**24 + 1)


def test_per_image_counts__of_two_small_images_by_hand():
    counts = PerImageCounts(3)
    target = torch.tensor([[[0, 0], [1, IGNORE]], [[2, 2], [2, 2]]])
    prediction = torch.tensor([[[0, 1], [1, 2]], [[2, 2], [0, 2]]])
    counts.update(prediction, target, torch.tensor([7, 4]))
    # image, class, right, true, predicted
    assert counts.compute().tolist() == [[4, 0, 0, 0, 1], [4, 2, 3, 4, 3], [7, 0, 1, 2, 1], [7, 1, 1, 1, 2]]


def test_per_image_counts__of_a_classification():
    counts = PerImageCounts(3)
    counts.update(torch.tensor([1, 0]), torch.tensor([1, 2]), torch.tensor([0, 1]))
    assert counts.compute().tolist() == [[0, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 2, 0, 1, 0]]


def test_per_image_counts__that_are_reset_begin_anew():
    counts = PerImageCounts(2)
    counts.update(torch.tensor([1]), torch.tensor([1]), torch.tensor([0]))
    counts.reset()
    counts.update(torch.tensor([0]), torch.tensor([0]), torch.tensor([3]))
    assert counts.compute().tolist() == [[3, 0, 1, 1, 1]]
