import numpy as np
import pytest
import torch

from lightseg.errors import UserError
from lightseg.metrics.confusion_matrix import classification_scores, dice, recall, segmentation_scores
from lightseg.metrics.scores import METRICS, mean, metric

# 3 classes: the first is right 6 times of 8 and taken for the second twice; the third is absent
SUMS = np.array([[6, 3, 0], [8, 3, 0], [6, 5, 0]])


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
    assert metric(kind, name)(SUMS) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("kind", METRICS)
def test_metric__equals_the_scores_of_a_confusion_matrix(kind):
    matrix = np.random.default_rng(0).integers(0, 50, (5, 5))
    matrix[:, 4] = matrix[4] = 0
    matrix[3] = 0  # predicted, but never true
    sums = np.stack([matrix.diagonal(), matrix.sum(1), matrix.sum(0)])
    scorer = segmentation_scores if kind == "segmentation" else classification_scores
    counts = torch.from_numpy(matrix)
    known = scorer(counts, list("abcde"))
    for name, made in METRICS[kind].items():
        score, *classes = made(sums)
        assert score == pytest.approx(known[name], abs=1e-15)
        expected = {"recall": recall(counts), "Dice": dice(counts), "F1": dice(counts)}.get(made.class_name)
        expected = [known[f"iou/{each}"] for each in "abcde"] if expected is None else expected.tolist()
        assert classes == pytest.approx(expected, abs=1e-15, nan_ok=True)


def test_metric__many_sets_at_once():
    made = metric("segmentation", "miou")(np.stack([SUMS, 2 * SUMS, np.zeros_like(SUMS)]))
    assert made.shape == (3, 4)
    assert made[0] == pytest.approx(made[1], nan_ok=True)
    assert np.isnan(made[2]).all()


def test_metric__misspelt_is_named_with_what_was_meant():
    with pytest.raises(UserError, match="--metric mioo.*did you mean miou"):
        metric("segmentation", "mioo")
    with pytest.raises(UserError, match="--metric miou: a classification has no such metric"):
        metric("classification", "miou")


def test_mean__without_what_is_nan():
    assert mean(np.array([[1, np.nan], [3, np.nan]]), 0) == pytest.approx([2, np.nan], nan_ok=True)
