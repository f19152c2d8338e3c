import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from lightseg.errors import UserError
from lightseg.labels import IGNORE
from lightseg.metrics.scores import (
    METRICS,
    classification_scores,
    confusion_to_counts,
    dice,
    frequency_weighted_iou,
    get_metric,
    iou,
    macro_dice,
    mean,
    mean_accuracy,
    miou,
    multilabel_scores,
    pixel_accuracy,
    precision,
    recall,
    segmentation_scores,
)
from tests.metrics.samples import SAMPLES, count

# rows are the target: class 2 is never true, class 3 is in neither
CONFUSION = np.array([[6, 1, 1, 0], [2, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
COUNTS = confusion_to_counts(CONFUSION)

# 3 classes: the first is right 6 times of 8 and taken for the second twice; the third is absent
SUMS = np.array([[6, 3, 0], [8, 3, 0], [6, 5, 0]])

every_sample = pytest.mark.parametrize(("prediction", "target"), SAMPLES.values(), ids=SAMPLES)


def test_confusion_to_counts__of_many_matrices():
    matrices = np.stack([CONFUSION, 2 * CONFUSION.T])
    counts = confusion_to_counts(matrices)
    assert counts[0].tolist() == [[6, 2, 0, 0], [8, 4, 0, 0], [8, 3, 1, 0]]
    assert counts[1].tolist() == [[12, 4, 0, 0], [16, 6, 2, 0], [16, 8, 0, 0]]


def test_per_class__by_hand():
    nan = math.nan
    expected = {
        iou: [6 / 10, 2 / 5, 0, nan],
        dice: [12 / 16, 4 / 7, 0, nan],
        recall: [6 / 8, 2 / 4, nan, nan],
        precision: [6 / 8, 2 / 3, 0, nan],
    }
    for score, values in expected.items():
        result = score(COUNTS)
        assert result.dtype == np.float64
        assert result.tolist() == pytest.approx(values, nan_ok=True)


def test_means__by_hand():
    assert miou(COUNTS) == pytest.approx((6 / 10 + 2 / 5 + 0) / 3)
    assert macro_dice(COUNTS) == pytest.approx((12 / 16 + 4 / 7 + 0) / 3)
    assert pixel_accuracy(COUNTS) == pytest.approx(8 / 12)
    assert mean_accuracy(COUNTS) == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert frequency_weighted_iou(COUNTS) == pytest.approx(8 / 12 * 6 / 10 + 4 / 12 * 2 / 5)


@every_sample
# scikit-learn warns of classes that are predicted but never true
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
def test_scores__are_those_of_sklearn(prediction, target):
    counts, valid = confusion_to_counts(count(prediction, target).numpy()), target != IGNORE
    truth, predicted = target[valid].numpy(), prediction[valid].numpy()
    options = {"average": None, "labels": range(6), "zero_division": np.nan}

    def same(result, expected):
        np.testing.assert_allclose(result, expected, rtol=1e-12)

    same(recall(counts), sklearn_metrics.recall_score(truth, predicted, **options))
    same(precision(counts), sklearn_metrics.precision_score(truth, predicted, **options))
    same(dice(counts), sklearn_metrics.f1_score(truth, predicted, **options))
    same(
        iou(counts)[~np.isnan(iou(counts))],
        sklearn_metrics.jaccard_score(truth, predicted, average=None),
    )
    assert miou(counts) == pytest.approx(sklearn_metrics.jaccard_score(truth, predicted, average="macro"))
    assert macro_dice(counts) == pytest.approx(sklearn_metrics.f1_score(truth, predicted, average="macro"))
    assert pixel_accuracy(counts) == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    balanced = sklearn_metrics.balanced_accuracy_score(truth, predicted)
    assert mean_accuracy(counts) == pytest.approx(balanced)
    weighted = sklearn_metrics.jaccard_score(truth, predicted, average="weighted")
    assert frequency_weighted_iou(counts) == pytest.approx(weighted)


def test_segmentation_scores__names_every_score():
    scores = segmentation_scores(CONFUSION, ["sky", "road", "car", "pole"])
    assert list(scores) == [
        *("score", "miou", "accuracy", "mean_accuracy", "dice", "frequency_weighted_iou"),
        *("iou/sky", "iou/road", "iou/car", "iou/pole"),
    ]
    assert scores["score"] == scores["miou"] == miou(COUNTS)
    assert scores["iou/car"] == 0
    assert math.isnan(scores["iou/pole"])
    assert {type(value) for value in scores.values()} == {float}


def test_classification_scores__names_every_score():
    scores = classification_scores(CONFUSION, ["cat", "dog", "cow", "pig"])
    assert list(scores) == [
        *("score", "accuracy", "balanced_accuracy", "macro_f1"),
        *("recall/cat", "recall/dog", "recall/cow", "recall/pig"),
    ]
    assert scores["score"] == scores["accuracy"] == pixel_accuracy(COUNTS)
    assert math.isnan(scores["recall/cow"])
    assert {type(value) for value in scores.values()} == {float}


@pytest.mark.parametrize("scores", [segmentation_scores, classification_scores])
def test_scores__nothing_counted_is_nan_and_not_zero(scores):
    assert all(math.isnan(value) for value in scores(np.zeros((2, 2), np.int64), ["a", "b"]).values())


@pytest.mark.parametrize("scores", [segmentation_scores, classification_scores])
def test_scores__refuses_names_that_do_not_fit(scores):
    with pytest.raises(ValueError, match="3 class names do not fit a matrix of 4"):
        scores(CONFUSION, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("segmentation", "score", [(6 / 8 + 3 / 5) / 2, 6 / 8, 3 / 5, np.nan]),
        ("segmentation", "accuracy", [9 / 11, 6 / 8, 3 / 5, np.nan]),
        ("segmentation", "mean_accuracy", [(6 / 8 + 1) / 2, 6 / 8, 1, np.nan]),
        ("segmentation", "dice", [(12 / 14 + 6 / 8) / 2, 12 / 14, 6 / 8, np.nan]),
        ("classification", "score", [9 / 11, 6 / 8, 1, np.nan]),
    ],
)
def test_metric__by_hand(kind, name, expected):
    assert get_metric(kind, name)(SUMS) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("kind", METRICS)
def test_metric__equals_the_scores_of_a_confusion_matrix(kind):
    confusion = np.random.default_rng(0).integers(0, 50, (5, 5))
    confusion[:, 4] = confusion[4] = 0
    confusion[3] = 0  # predicted, but never true
    counts = confusion_to_counts(confusion)
    if kind.startswith("multilabel"):
        scores = multilabel_scores(counts, list("abcde"), kind)
    else:
        scorer = segmentation_scores if kind == "segmentation" else classification_scores
        scores = scorer(confusion, list("abcde"))
    per_class = {"IoU": iou, "recall": recall, "precision": precision, "Dice": dice, "F1": dice}
    for name, metric in METRICS[kind].items():
        score, *classes = metric(counts)
        assert score == pytest.approx(scores[name], abs=1e-15)
        assert classes == pytest.approx(per_class[metric.class_name](counts).tolist(), abs=1e-15, nan_ok=True)


def test_metric__many_sets_at_once():
    scores = get_metric("segmentation", "miou")(np.stack([SUMS, 2 * SUMS, np.zeros_like(SUMS)]))
    assert scores.shape == (3, 4)
    assert scores[0] == pytest.approx(scores[1], nan_ok=True)
    assert np.isnan(scores[2]).all()


def test_metric__misspelt_is_named_with_what_was_meant():
    with pytest.raises(UserError, match="--metric mioo.*did you mean miou"):
        get_metric("segmentation", "mioo")
    with pytest.raises(UserError, match="--metric miou: a classification has no such metric"):
        get_metric("classification", "miou")


def test_mean__without_what_is_nan():
    assert mean(np.array([[1, np.nan], [3, np.nan]]), 0) == pytest.approx([2, np.nan], nan_ok=True)
