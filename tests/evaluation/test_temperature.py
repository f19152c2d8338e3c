"""Fitted temperatures, and the sample of logits that they are fitted on."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_expit
from torch.nn import functional as F

from lightseg.evaluation.temperature import LIMIT, SAMPLE, LogitSample, fit_temperature, sampling_stride
from lightseg.labels import IGNORE
from lightseg.metrics.calibration import valid_labels


def calibrated_logits(scale, count=20_000, classes=4):
    """Return logits, multiplied by a scale, and targets sampled from their softmax without it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (count, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = (shares.cumsum(1) > rng.random((count, 1))).argmax(1)
    return torch.as_tensor(scale * logits, dtype=torch.float32), torch.as_tensor(target)


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_fit_temperature__recovers_the_scale_of_the_logits(scale):
    logits, target = calibrated_logits(scale)
    temperature = fit_temperature(logits, target)
    assert temperature == pytest.approx(scale, rel=0.05)
    losses = [
        float(F.cross_entropy(logits.double() / value, target)) for value in np.array([0.99, 1, 1.01]) * temperature
    ]
    assert losses[1] == min(losses)


@pytest.mark.parametrize(("target", "limit"), [(0, 1 / LIMIT), (1, LIMIT)])
def test_fit_temperature__stays_within_its_limits(target, limit):
    assert fit_temperature(torch.tensor([[1.0, 0.0]]), torch.tensor([target])) == pytest.approx(limit, rel=1e-3)


def test_sampling_stride__bounds_the_sample():
    assert sampling_stride(1000, 10) == 1
    for pixels, classes in ((SAMPLE, 1), (SAMPLE, 2), (10**9, 19)):
        assert pixels * classes / sampling_stride(pixels, classes) <= SAMPLE


def test_logit_sample__starts_at_the_index_of_the_image():
    logits = torch.arange(2 * 8.0).reshape(2, 1, 2, 4).expand(2, 2, 2, 4)
    target = torch.zeros(2, 2, 4, dtype=torch.int64)
    target[0, 0, 1] = IGNORE
    metric = LogitSample(3, 2)
    metric.update(logits, target, torch.tensor([6, 7]))
    sample, truth = metric.compute()
    # without pixel 1, image 6 begins with its first and image 7 with its second
    assert sample[:, 0].tolist() == [0, 4, 7, 9, 12, 15]
    assert truth.tolist() == [0] * 6


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_fit_temperature__of_labels_is_the_minimum_of_the_binary_cross_entropy(scale):
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (3, 40, 50))
    target = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    target[0, :9] = IGNORE
    metric = LogitSample(1, 2, valid_labels)
    scaled = torch.as_tensor(scale * logits, dtype=torch.float32)
    metric.update(scaled[None], torch.as_tensor(target)[None], torch.tensor([0]))
    temperature = fit_temperature(*metric.compute())

    values, truth = scaled.double().numpy()[target != IGNORE], target[target != IGNORE]
    signs = 2.0 * truth - 1

    def loss(factor):
        return -log_expit(signs * factor * values).mean()

    best = minimize_scalar(loss, bracket=(0.1, 1, 10), options={"xtol": 1e-10})
    assert temperature == pytest.approx(1 / best.x, rel=1e-4)
    assert temperature == pytest.approx(scale, rel=0.1)


def test_logit_sample__of_labels_goes_evenly_through_the_valid_ones():
    logits = torch.arange(8.0).reshape(1, 2, 4)
    target = torch.tensor([[[1, IGNORE, 0, 1], [0, 1, IGNORE, 1]]])
    metric = LogitSample(2, 2, valid_labels)
    metric.update(logits, target, torch.tensor([1]))
    sample, truth = metric.compute()
    # the valid ones are 0, 2, 3, 4, 5 and 7, of which image 1 begins with the second
    assert sample.tolist() == [[0, 2], [0, 4], [0, 7]]
    assert truth.tolist() == [0, 0, 1]
