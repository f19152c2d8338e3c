import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from lightseg.labels import IGNORE
from lightseg.metrics.calibration import (
    Calibration,
    LabelCalibration,
    Reliability,
    calibration_errors,
    make_calibration,
    reliabilities,
    valid_labels,
)
from lightseg.metrics.label_histogram import BINS


def reliability(logits, target, temperature=1.0):
    metric = Calibration(temperature)
    metric.update(logits, target, torch.arange(len(target)))
    return Reliability.of(*metric.compute())


def binary_logits(*first):
    """Return logits of two classes with these probabilities of the first class."""
    probabilities = torch.tensor(first, dtype=torch.float64)
    return torch.stack([probabilities, 1 - probabilities], 1).log().float()


def test_calibration__by_hand():
    # two of confidence 0.9, one of them right; two of confidence 0.7 (for the second class), both right
    table = reliability(binary_logits(0.9, 0.9, 0.3, 0.3), torch.tensor([0, 1, 1, 1]))
    assert table.ece == pytest.approx((2 * abs(0.5 - 0.9) + 2 * abs(1 - 0.7)) / 4, abs=1e-6)
    assert table.nll == pytest.approx(-np.mean(np.log([0.9, 0.1, 0.7, 0.7])), abs=1e-6)
    assert table.brier == pytest.approx(np.mean([2 * 0.1**2, 2 * 0.9**2, 2 * 0.3**2, 2 * 0.3**2]), abs=1e-6)
    assert [(row["above"], row["pixels"], row["accuracy"]) for row in table.table] == [
        (pytest.approx(10 / 15), 2, 1),
        (pytest.approx(13 / 15), 2, 0.5),
    ]
    assert [row["confidence"] for row in table.table] == pytest.approx([0.7, 0.9])


def test_calibration__a_bin_has_its_upper_end_and_not_its_lower():
    metric = Calibration(bins=4)
    # softmax of equal logits is exactly 1/2
    metric.update(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0]))
    assert metric.compute()[0][:, 0].tolist() == [0, 1, 0, 0]


def test_calibration__equals_a_plain_reckoning():
    rng = np.random.default_rng(0)
    logits = torch.as_tensor(rng.normal(0, 2, (4, 5, 9, 7)), dtype=torch.float32)
    target = torch.as_tensor(rng.integers(0, 5, (4, 9, 7)))
    target[1, :3] = IGNORE
    valid = (target != IGNORE).flatten().numpy()
    probabilities = logits.double().softmax(1).movedim(1, -1).reshape(-1, 5).numpy()[valid]
    truth = target.flatten().numpy()[valid]
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    ece = 0.0
    for number in range(15):
        in_bin = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if in_bin.any():
            ece += in_bin.mean() * abs(right[in_bin].mean() - confidence[in_bin].mean())
    table = reliability(logits, target)
    assert table.ece == pytest.approx(ece, abs=1e-6)
    assert table.nll == pytest.approx(log_loss(truth, probabilities, labels=range(5)), abs=1e-5)
    assert table.brier == pytest.approx(((probabilities - np.eye(5)[truth]) ** 2).sum(1).mean(), abs=1e-5)
    assert table.pixels.sum() == valid.sum()


def test_calibration__sums_are_exact_in_any_order():
    logits, target = torch.randn(6, 3, 8, 8), torch.randint(0, 3, (6, 8, 8))
    batch, single_images = Calibration(), Calibration()
    batch.update(logits, target, torch.arange(6))
    for index in (5, 0, 3, 2, 4, 1):
        single_images.update(logits[index : index + 1], target[index : index + 1], torch.tensor([index]))
    for first, second in zip(batch.compute(), single_images.compute(), strict=True):
        assert first.dtype == torch.int64
        assert torch.equal(first, second)


@pytest.mark.parametrize("temperature", [0.01, 0.37, 3.0, 100.0])
def test_calibration__temperature_changes_confidence_but_no_prediction(temperature):
    # neighbours in float32, which become equal when they are divided by 3
    close = torch.tensor([[1.0000001, 1.0000002], [1.0, 1.0000001]])
    logits = torch.cat([torch.randn(500, 2), close])
    target = torch.randint(0, 2, (502,))
    before, after = reliability(logits, target), reliability(logits, target, temperature)
    assert before.right.sum() == after.right.sum()
    sharper = after.confidence.sum() > before.confidence.sum()
    assert sharper == (temperature < 1)


def test_label_calibration__by_hand():
    # middles of bins, so that sums of probabilities are exact
    high, low = 768.5 / BINS, 256.5 / BINS
    probabilities = torch.tensor([[high, low, 0.5], [high, 0.9, 0.5], [high, low, 0.5]], dtype=torch.float64)
    target = torch.tensor([[1, 0, IGNORE], [0, IGNORE, IGNORE], [0, 1, IGNORE]])
    metric = LabelCalibration(3)
    # in two batches
    for part in (slice(2), slice(2, 3)):
        metric.update(probabilities[part].logit().float(), target[part], torch.arange(3)[part])
    first, second, void = reliabilities(*metric.compute())
    assert first.ece == pytest.approx(abs(1 / 3 - high), abs=1e-9)
    assert second.ece == pytest.approx(0.5 - low, abs=1e-9)
    assert (first.table, second.table) == (
        [{"above": 12 / 16, "to": 13 / 16, "pixels": 3, "confidence": high, "accuracy": 1 / 3}],
        [{"above": 4 / 16, "to": 5 / 16, "pixels": 2, "confidence": low, "accuracy": 0.5}],
    )
    assert first.nll == pytest.approx(-(np.log(high) + 2 * np.log(1 - high)) / 3, abs=1e-6)
    assert np.isnan([void.ece, void.nll, void.brier]).all()
    assert void.table == []
    errors = calibration_errors(*metric.compute())
    assert errors.ece == pytest.approx((first.ece + second.ece) / 2)
    losses = [-np.log(high), *[-np.log(1 - high)] * 2, -np.log(1 - low), -np.log(low)]
    squares = [(1 - high) ** 2, *[high**2] * 2, low**2, (1 - low) ** 2]
    assert errors.nll == pytest.approx(np.mean(losses), abs=1e-6)
    assert errors.brier == pytest.approx(np.mean(squares), abs=1e-6)


def test_label_calibration__of_masks_equals_a_plain_reckoning_at_a_temperature():
    rng = np.random.default_rng(0)
    logits = torch.as_tensor(rng.normal(0, 3, (3, 2, 7, 9)), dtype=torch.float32)
    target = torch.as_tensor(rng.integers(0, 2, (3, 2, 7, 9)), dtype=torch.uint8)
    target[1, 0, :3] = IGNORE
    metric = make_calibration(2, multilabel=True, temperature=2.5)
    metric.update(logits, target, torch.arange(3))
    for label, table in enumerate(reliabilities(*metric.compute())):
        valid = (target[:, label] != IGNORE).numpy()
        probabilities = (logits[:, label].double() / 2.5).sigmoid().numpy()[valid]
        truth = target[:, label].numpy()[valid]
        bins = (16 * probabilities).astype(int)
        ece = sum(abs((truth - probabilities)[bins == number].sum()) for number in range(16)) / len(truth)
        # probabilities are those of the middles of bins
        assert table.ece == pytest.approx(ece, abs=0.5 / BINS)
        assert table.nll == pytest.approx(log_loss(truth, probabilities), abs=1e-6)
        assert table.brier == pytest.approx(np.mean((truth - probabilities) ** 2), abs=1e-6)
        assert table.pixels.sum() == valid.sum()


def test_calibration_errors__of_classes_that_exclude_each_other_are_those_of_the_table():
    metric = Calibration()
    metric.update(binary_logits(0.9, 0.3), torch.tensor([0, 0]), torch.arange(2))
    (table,) = reliabilities(*metric.compute())
    assert calibration_errors(*metric.compute()) == (table.ece, table.nll, table.brier)


def test_valid_labels__softmax_of_two_is_the_sigmoid():
    logits = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    scores, truth = valid_labels(logits, torch.tensor([[1, IGNORE], [0, 1]], dtype=torch.uint8))
    assert torch.allclose(scores.softmax(1)[:, 1], torch.tensor([1.0, 3.0, 0.5]).sigmoid())
    assert (truth.tolist(), truth.dtype) == ([1, 0, 1], torch.int64)
