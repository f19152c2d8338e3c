import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightseg.evaluation.temperature import LIMIT, SAMPLE, LogitSample, fit_temperature, sampling
from lightseg.labels import IGNORE


def drawn(scale, count=20_000, classes=4):
    """Logits, times a scale, and a truth that is drawn from their softmax before."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (count, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = (shares.cumsum(1) > rng.random((count, 1))).argmax(1)
    return torch.as_tensor(scale * logits, dtype=torch.float32), torch.as_tensor(target)


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_fit__finds_the_scale_that_logits_were_multiplied_by(scale):
    logits, target = drawn(scale)
    temperature = fit_temperature(logits, target)
    assert temperature == pytest.approx(scale, rel=0.05)
    losses = [
        float(F.cross_entropy(logits.double() / each, target)) for each in np.array([0.99, 1, 1.01]) * temperature
    ]
    assert losses[1] == min(losses)


@pytest.mark.parametrize(("target", "limit"), [(0, 1 / LIMIT), (1, LIMIT)])
def test_fit__stays_within_its_limits_where_all_is_right_or_wrong(target, limit):
    assert fit_temperature(torch.tensor([[1.0, 0.0]]), torch.tensor([target])) == pytest.approx(limit, rel=1e-3)


def test_sampling__is_bounded_and_takes_all_of_a_few():
    assert sampling(1000, 10) == 1
    for pixels, classes in ((SAMPLE, 1), (SAMPLE, 2), (10**9, 19)):
        assert pixels * classes / sampling(pixels, classes) <= SAMPLE


def test_sample__takes_every_third_valid_pixel_from_a_start_of_the_images_own():
    logits = torch.arange(2 * 8.0).reshape(2, 1, 2, 4).expand(2, 2, 2, 4)
    target = torch.zeros(2, 2, 4, dtype=torch.int64)
    target[0, 0, 1] = IGNORE
    metric = LogitSample(3, 2)
    metric.update(logits, target, torch.tensor([6, 7]))
    kept, truth = metric.compute()
    # without pixel 1, image 6 begins with its first and image 7 with its second
    assert kept[:, 0].tolist() == [0, 4, 7, 9, 12, 15]
    assert truth.tolist() == [0] * 6
