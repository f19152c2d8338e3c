import re
from math import sqrt

import numpy as np
import pytest

from lightseg.data import Shapes, ShapesClassification
from lightseg.data.loading.sample_weights import draw_weights
from lightseg.data.loading.samplers import EpochSampler
from lightseg.errors import ConfigError

# sample 4 is void, class 2 does not occur: n = 4, 1, 0, 1
TABLE = np.array([[5, 0, 0, 0], [3, 1, 0, 0], [2, 0, 0, 4], [7, 0, 0, 0], [0, 0, 0, 0]])

CLASSIFIER = """
base: [configs/data/shapes_classification.yaml, configs/net/simple_cnn.yaml]
data: {init_args: {train_size: 60, val_size: 10, test_size: 10, batch_size: 20, imbalance: 20.0, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 2}
"""


@pytest.mark.parametrize(
    ("scheme", "threshold", "expected"),
    [
        # one of three classes: 1/3 of 1/4, and for the holders of a class of one 1/3 more
        ("class_balanced", None, np.array([1, 5, 5, 1, 0]) / 12),
        # the roots are 2, 1, 1: 1/2 of 1/4, and 1/4 more
        ("square_root", None, np.array([1, 3, 3, 1, 0]) / 8),
        # f = 4/5, 1/5, 1/5: the square root of 4/5 over 1/5 is 2
        ("repeat_factor", 0.8, np.array([1, 2, 2, 1, 0]) / 6),
        # sqrt(0.3 / 0.2) for the rare ones, 1 for what is above the threshold
        ("repeat_factor", 0.3, np.array([1, sqrt(1.5), sqrt(1.5), 1, 0]) / (2 + 2 * sqrt(1.5))),
    ],
)
def test_draw_weights__by_hand(scheme, threshold, expected):
    weights = draw_weights(scheme, TABLE, threshold)
    assert weights.dtype == np.float64
    assert weights == pytest.approx(expected)


def test_draw_weights__default_threshold_is_the_median_share():
    holds = np.zeros((16, 3), np.int64)
    holds[:, 0], holds[:4, 1], holds[0, 2] = 1, 1, 1
    # shares 1, 1/4, 1/16: the rarest is drawn sqrt(1/4 · 16) = 2 times as often
    assert draw_weights("repeat_factor", holds) == pytest.approx(np.array([2, *[1] * 15]) / 17)


@pytest.mark.parametrize("scheme", ["class_balanced", "square_root", "repeat_factor"])
def test_draw_weights__balanced_classes_are_drawn_evenly(scheme):
    assert draw_weights(scheme, np.eye(4, dtype=np.int64)) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("scheme", ["class_balanced", "square_root", "repeat_factor"])
def test_draw_weights__void_only(scheme):
    with pytest.raises(ConfigError, match=f"data.sampling: {scheme} needs a class to draw, and no training sample"):
        draw_weights(scheme, np.zeros((3, 2), np.int64))


def long_tailed_labels():
    return np.eye(5, dtype=np.int64)[np.repeat(range(5), [1000, 400, 150, 50, 15])]


def long_tailed_masks():
    rng = np.random.default_rng(0)
    return (rng.random((2000, 5)) < [1, 0.5, 0.1, 0.03, 0.008]) * rng.integers(1, 100, (2000, 5))


def target_shares(scheme, table):
    """Expected number of draws that hold each class, computed class by class."""
    holds = table > 0
    numbers = holds.sum(0)
    if scheme == "repeat_factor":
        frequency = numbers / len(table)
        factors = [max(1, sqrt(np.median(frequency) / share)) for share in frequency]
        repeats = np.array([max(factors[c] for c in np.flatnonzero(row)) for row in holds])
        return repeats @ holds / repeats.sum()
    draws = {"class_balanced": np.ones(5), "square_root": np.sqrt(numbers)}[scheme]
    # a class, then any of its holders, which may hold others too
    return sum(draws[c] / draws.sum() * holds[holds[:, c]].mean(0) for c in range(5))


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("table", [long_tailed_labels(), long_tailed_masks()], ids=["labels", "masks"])
@pytest.mark.parametrize("scheme", ["class_balanced", "square_root", "repeat_factor"])
def test_sampling__frequencies_are_those_of_the_scheme(scheme, table, processes):
    weights = draw_weights(scheme, table)
    ranks = [EpochSampler(len(table), 10, 0, rank, processes, weights) for rank in range(processes)]
    samples = [position.sample for rank in ranks for position in rank]
    assert len(samples) == len(table) // 10 * 10
    shares = (table[samples] > 0).mean(0)
    assert shares == pytest.approx(target_shares(scheme, table), abs=0.02)
    assert shares != pytest.approx((table > 0).mean(0), abs=0.02)


def test_sampling__reaches_the_batches():
    data = ShapesClassification(train_size=300, imbalance=30.0, batch_size=10, num_workers=0, sampling="class_balanced")
    labels = np.concatenate([batch["target"] for batch in data.train_dataloader()])
    assert len(labels) == 300
    assert np.bincount(labels) / 300 == pytest.approx([0.2] * 5, abs=0.03)
    assert data.class_counts().max() > 150


@pytest.mark.parametrize("scheme", ["class_balanced", "square_root"])
def test_fit__sampling_for_classification(fit, recipe, scheme):
    outcome = fit("--config", recipe(CLASSIFIER), "--data.sampling", scheme)
    assert outcome.code == 0
    assert f"sampling: {scheme}" in (outcome.folder / "config.yaml").read_text()
    # an epoch keeps its length
    assert outcome.metrics["train/steps"] == 2 * 3


def test_fit__sampling_for_segmentation_changes_the_training_and_not_the_evaluation(fit, recipe):
    options = ["--config", recipe(), "--data.imbalance", "50"]
    plain = fit(*options)
    weighted = fit(*options, "--data.sampling", "repeat_factor", "--data.repeat_threshold", "0.9")
    assert plain.code == weighted.code == 0
    assert plain.metrics["train/steps"] == weighted.metrics["train/steps"]
    losses = [[row["train/loss"] for row in run.log if "train/loss" in row] for run in (plain, weighted)]
    assert losses[0] != losses[1]
    truths = [
        np.loadtxt(run.folder / "confusion_val.csv", np.int64, delimiter=",", skiprows=1).sum(1)
        for run in (plain, weighted)
    ]
    assert truths[0].tolist() == truths[1].tolist()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data.sampling", "clas_balanced"], "data.sampling: clas_balanced is not one of .*did you mean class_bal"),
        (["--data.repeat_threshold", "0.1"], "data.repeat_threshold: only data.sampling: repeat_factor has a thresh"),
        (
            ["--data.sampling", "repeat_factor", "--data.repeat_threshold", "10"],
            "data.repeat_threshold: must be a fraction of the samples, above 0 and up to 1, got 10.0",
        ),
    ],
)
def test_fit__invalid_sampling_is_an_error_of_one_line(fit, recipe, options, words):
    outcome = fit("--config", recipe(), *options)
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert re.search(words, outcome.err)


def test_sampling__misspelt_in_python():
    with pytest.raises(ConfigError, match="data.sampling: there is no 'balanced'; did you mean class_balanced?"):
        Shapes(sampling="balanced")


def test_sampling__without_effect_is_an_error(fit, recipe):
    outcome = fit("--config", recipe(), "--data.sampling", "repeat_factor", "--data.repeat_threshold", "0.0001")
    assert outcome.code == 2
    assert "data.sampling: repeat_factor changes nothing here" in outcome.err
