import math
import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from lightseg.metrics import confusion_matrix
from lightseg.metrics.confusion_matrix import ConfusionMatrix, classification_scores, segmentation_scores

# rows are the truth: class 2 is never true, class 3 is in neither
COUNTS = torch.tensor([[6, 1, 1, 0], [2, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def a_sample(seed, classes=6, size=(7, 5, 4), absent_truth=(), absent_prediction=()):
    """Prediction and target, some of which is ignored; `absent_*` classes never occur."""
    rng = np.random.default_rng(seed)
    truths = [c for c in range(classes) if c not in absent_truth]
    guesses = [c for c in range(classes) if c not in absent_prediction]
    target, prediction = rng.choice(truths, size), rng.choice(guesses, size)
    prediction = np.where((rng.random(size) < 0.4) & np.isin(target, guesses), target, prediction)
    target[rng.random(size) < 0.2] = IGNORE
    return torch.from_numpy(prediction), torch.from_numpy(target)


def count(prediction, target, classes=6):
    metric = ConfusionMatrix(classes)
    metric.update(prediction, target)
    return metric.compute()


SAMPLES = {
    "all_present": a_sample(0),
    "absent_from_truth": a_sample(1, absent_truth=(2,)),
    "absent_from_prediction": a_sample(2, absent_prediction=(0, 4)),
    "absent_from_both": a_sample(3, absent_truth=(5, 1), absent_prediction=(5,)),
}
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
    prediction, target = a_sample(0, classes=100)
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
    assert confusion_matrix.iou(torch.tensor([[2**24, 1], [0, 1]]))[0].item() == 2**24 / (2**24 + 1)


def test_per_class__by_hand():
    nan = math.nan
    expected = {
        confusion_matrix.iou: [6 / 10, 2 / 5, 0, nan],
        confusion_matrix.dice: [12 / 16, 4 / 7, 0, nan],
        confusion_matrix.f1: [12 / 16, 4 / 7, 0, nan],
        confusion_matrix.recall: [6 / 8, 2 / 4, nan, nan],
        confusion_matrix.precision: [6 / 8, 2 / 3, 0, nan],
    }
    for score, values in expected.items():
        found = score(COUNTS)
        assert found.dtype == torch.float64
        assert found.tolist() == pytest.approx(values, nan_ok=True)


def test_means__by_hand():
    assert confusion_matrix.miou(COUNTS) == pytest.approx((6 / 10 + 2 / 5 + 0) / 3)
    assert confusion_matrix.macro_dice(COUNTS) == pytest.approx((12 / 16 + 4 / 7 + 0) / 3)
    assert confusion_matrix.pixel_accuracy(COUNTS) == pytest.approx(8 / 12)
    assert confusion_matrix.mean_accuracy(COUNTS) == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert confusion_matrix.frequency_weighted_iou(COUNTS) == pytest.approx(8 / 12 * 6 / 10 + 4 / 12 * 2 / 5)


@every_sample
# scikit-learn warns of classes that are predicted but never true
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
def test_scores__are_those_of_sklearn(prediction, target):
    counts, valid = count(prediction, target), target != IGNORE
    truth, guess = target[valid].numpy(), prediction[valid].numpy()
    options = {"average": None, "labels": range(6), "zero_division": np.nan}

    def same(found, expected):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)

    same(confusion_matrix.recall(counts), sklearn_metrics.recall_score(truth, guess, **options))
    same(confusion_matrix.precision(counts), sklearn_metrics.precision_score(truth, guess, **options))
    same(confusion_matrix.f1(counts), sklearn_metrics.f1_score(truth, guess, **options))
    same(
        confusion_matrix.iou(counts)[~confusion_matrix.iou(counts).isnan()],
        sklearn_metrics.jaccard_score(truth, guess, average=None),
    )
    assert confusion_matrix.miou(counts) == pytest.approx(sklearn_metrics.jaccard_score(truth, guess, average="macro"))
    assert confusion_matrix.macro_f1(counts) == pytest.approx(sklearn_metrics.f1_score(truth, guess, average="macro"))
    assert confusion_matrix.pixel_accuracy(counts) == pytest.approx(sklearn_metrics.accuracy_score(truth, guess))
    balanced = sklearn_metrics.balanced_accuracy_score(truth, guess)
    assert (
        confusion_matrix.balanced_accuracy(counts) == confusion_matrix.mean_accuracy(counts) == pytest.approx(balanced)
    )
    weighted = sklearn_metrics.jaccard_score(truth, guess, average="weighted")
    assert confusion_matrix.frequency_weighted_iou(counts) == pytest.approx(weighted)


def test_segmentation_scores__names_every_score():
    scores = segmentation_scores(COUNTS, ["sky", "road", "car", "pole"])
    assert list(scores) == [
        *("score", "miou", "accuracy", "mean_accuracy", "dice", "frequency_weighted_iou"),
        *("iou/sky", "iou/road", "iou/car", "iou/pole"),
    ]
    assert scores["score"] == scores["miou"] == confusion_matrix.miou(COUNTS)
    assert scores["iou/car"] == 0
    assert math.isnan(scores["iou/pole"])
    assert {type(value) for value in scores.values()} == {float}


def test_classification_scores__names_every_score():
    scores = classification_scores(COUNTS, ["cat", "dog", "cow", "pig"])
    assert list(scores) == [
        *("score", "accuracy", "balanced_accuracy", "macro_f1"),
        *("recall/cat", "recall/dog", "recall/cow", "recall/pig"),
    ]
    assert scores["score"] == scores["accuracy"] == confusion_matrix.pixel_accuracy(COUNTS)
    assert math.isnan(scores["recall/cow"])
    assert {type(value) for value in scores.values()} == {float}


@pytest.mark.parametrize("scores", [segmentation_scores, classification_scores])
def test_scores__nothing_counted_is_nan_and_not_zero(scores):
    assert all(math.isnan(value) for value in scores(torch.zeros(2, 2, dtype=torch.int64), ["a", "b"]).values())


@pytest.mark.parametrize("scores", [segmentation_scores, classification_scores])
def test_scores__refuses_names_that_do_not_fit(scores):
    with pytest.raises(ValueError, match="3 class names do not fit a matrix of 4"):
        scores(COUNTS, ["a", "b", "c"])
