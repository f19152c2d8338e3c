"""Probabilities of overlapping classes: counts, thresholds and rankings, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    jaccard_score,
    multilabel_confusion_matrix,
    precision_score,
    recall_score,
    roc_auc_score,
)

from lightseg.labels import IGNORE
from lightseg.metrics.label_histogram import (
    BINS,
    LabelHistogram,
    PerImageLabelCounts,
    average_precision,
    confusion_at,
    confusion_to_label_counts,
    exact_match,
    fit_thresholds,
    roc_auc,
    round_threshold,
)
from lightseg.metrics.scores import multilabel_scores

CLASSES = ["a", "b", "c"]
THRESHOLDS = [0.5, 0.25, 819 / 1024]


def samples(seed=0, number=400, shares=(0.5, 0.2, 0.05), void=0.0):
    """Probabilities and targets `(N, 3)`, of classes of several shares."""
    random = np.random.default_rng(seed)
    target = (random.random((number, 3)) < shares).astype(np.uint8)
    probability = (0.6 * random.random((number, 3)) + 0.4 * target * random.random((number, 3))).astype(np.float32)
    # some lie at a threshold
    probability[:20] = THRESHOLDS
    target[random.random((number, 3)) < void] = IGNORE
    return torch.from_numpy(probability), torch.from_numpy(target)


def histogram_of(probability, target):
    metric = LabelHistogram(target.shape[1])
    metric.update(probability, target)
    return metric.compute().numpy()


def test_confusion_at__is_that_of_sklearn():
    probability, target = samples()
    confusion = confusion_at(histogram_of(probability, target), THRESHOLDS)
    predicted = probability >= torch.tensor(THRESHOLDS)
    assert np.array_equal(confusion, multilabel_confusion_matrix(target, predicted))


def test_multilabel_scores__are_those_of_sklearn():
    probability, target = samples()
    counts = confusion_to_label_counts(confusion_at(histogram_of(probability, target), THRESHOLDS))
    predicted = (probability >= torch.tensor(THRESHOLDS)).numpy()
    scores = multilabel_scores(counts, CLASSES, "multilabel_classification")
    expected = {
        "score": f1_score(target, predicted, average="macro"),
        "micro_f1": f1_score(target, predicted, average="micro"),
        "precision": precision_score(target, predicted, average="macro"),
        "recall": recall_score(target, predicted, average="macro"),
        "micro_precision": precision_score(target, predicted, average="micro"),
        "micro_recall": recall_score(target, predicted, average="micro"),
        **{f"f1/{name}": value for name, value in zip(CLASSES, f1_score(target, predicted, average=None), strict=True)},
    }
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    miou = multilabel_scores(counts, CLASSES, "multilabel_segmentation")["score"]
    assert miou == pytest.approx(jaccard_score(target, predicted, average="macro"), abs=1e-12)


def test_rankings__are_those_of_sklearn_for_binned_probabilities():
    probability, target = samples()
    histogram, bins = histogram_of(probability, target), np.floor(probability.numpy() * BINS)
    for label in range(3):
        truth, score = target[:, label].numpy(), bins[:, label]
        assert average_precision(histogram)[label] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
        assert roc_auc(histogram)[label] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


def test_rankings__are_undefined_without_positives_or_negatives():
    histogram = histogram_of(torch.tensor([[0.2, 0.9], [0.4, 0.1]]), torch.tensor([[0, 1], [0, 1]]))
    assert np.isnan(average_precision(histogram)[0])
    assert average_precision(histogram)[1] == 1
    assert np.isnan(roc_auc(histogram)).all()


def test_label_histogram__void_is_not_counted_and_shards_add_up():
    probability, target = samples(void=0.3)
    whole = histogram_of(probability, target)
    assert whole.sum(2).tolist() == [[int((part == value).sum()) for value in (0, 1)] for part in target.T]
    parts = [histogram_of(probability[rows], target[rows]) for rows in (slice(0, 7), slice(7, 333), slice(333, 400))]
    assert np.array_equal(sum(parts), whole)


def test_label_histogram__masks_count_as_their_pixels():
    probability, target = samples(void=0.1)
    as_masks = [part.T.reshape(1, 3, 20, 20) for part in (probability, target)]
    assert np.array_equal(histogram_of(*as_masks), histogram_of(probability, target))


@pytest.mark.parametrize(
    ("probability", "target", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 2), "differ in shape"),
        (torch.zeros(1, 2), torch.tensor([[0, 2]]), "target has .*2.*, not 0, 1 or 255"),
    ],
)
def test_label_histogram__refuses_what_does_not_fit(probability, target, message):
    with pytest.raises(ValueError, match=message):
        LabelHistogram(2).update(probability, target)


def test_fit_thresholds__have_the_highest_f1_of_all():
    probability, target = samples()
    histogram = histogram_of(probability, target)
    fitted = fit_thresholds(histogram)
    edges = np.arange(1, BINS) / BINS
    for label in range(3):
        truth = target[:, label].numpy() == 1
        predicted = probability[:, label].numpy() >= edges[:, None]
        scores = 2 * (truth & predicted).sum(1) / (truth.sum() + predicted.sum(1))
        best = edges[scores == scores.max()]
        assert fitted[label] in best
        assert abs(fitted[label] - 0.5) == np.abs(best - 0.5).min()


def test_fit_thresholds__of_a_class_without_positives_is_one_half():
    assert fit_thresholds(histogram_of(torch.tensor([[0.7], [0.9]]), torch.tensor([[0], [0]]))) == [0.5]


def test_round_threshold__stays_inside():
    assert [round_threshold(value) for value in (0.5, 0.3, 1e-9, 1 - 1e-9)] == [0.5, 307 / 1024, 1 / 1024, 1023 / 1024]


def test_per_image_label_counts__have_a_row_for_each_valid_class():
    prediction = torch.tensor([[[[1, 1], [0, 0]], [[0, 1], [0, 0]]], [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]])
    target = torch.tensor([[[[1, 0], [0, 1]], [[IGNORE, 1], [0, 0]]], [[[0, 0], [0, 0]], [[IGNORE] * 2] * 2]])
    metric = PerImageLabelCounts(2)
    metric.update(prediction, target, torch.tensor([7, 3]))
    assert metric.compute().tolist() == [[3, 0, 0, 0, 0], [7, 0, 1, 2, 2], [7, 1, 1, 1, 1]]


def test_exact_match__is_the_accuracy_of_sklearn():
    probability, target = samples()
    predicted = (probability >= 0.5).to(torch.uint8)
    metric = PerImageLabelCounts(3)
    metric.update(predicted, target, torch.arange(len(target)))
    assert exact_match(metric.compute()) == pytest.approx(accuracy_score(target, predicted))
    # a void label does not count, and neither does a void image
    target[:] = IGNORE
    target[0, 0], target[1, 1] = 1 - predicted[0, 0], predicted[1, 1]
    metric.reset()
    metric.update(predicted, target, torch.arange(len(target)))
    assert exact_match(metric.compute()) == 0.5
