"""Coverage of 95 % intervals in simulations, and the rate of significant differences between equals."""

from statistics import NormalDist

import numpy as np
import pytest

from lightseg.comparison import analysis, bootstrap
from lightseg.metrics.scores import get_metric
from tests.comparison.simulation import Population, Samples, Scenes

ACCURACY = get_metric("classification", "accuracy")
MIOU = get_metric("segmentation", "miou")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1000)


def holds(estimates, truth):
    # an unknown interval holds any value
    return [
        not (estimate.low > value or estimate.high < value) for estimate, value in zip(estimates, truth, strict=True)
    ]


def compare(first, second, by):
    """Return the individual differences of the first group to the second, and the scores of the first."""
    arms = bootstrap.resample_arms((first, second), by)
    return bootstrap.estimate_differences(
        bootstrap.compare_arms(*arms, np.random.default_rng(0))
    ), bootstrap.estimate_scores(arms[0])


def of_recipes(runs, training, images, repetitions):
    """Return the coverage of differences of groups of runs: of the mean IoU, and of each class."""
    population, random = Population(training), np.random.default_rng(0)
    # seeds as they are spread, not as 20 draws of them happen to be
    seeds = np.tile([training * NormalDist().inv_cdf((index + 0.5) / 20) for index in range(20)], (2, 1))
    large_runs = population.counts(random, 10_000, seeds)
    truth = np.subtract(*[np.mean([MIOU(run.sum(0)) for run in recipe], axis=0) for recipe in large_runs])
    samples = (population.counts(random, images, population.seeds(random, runs)) for _ in range(repetitions))
    return np.mean([holds(compare(*groups, MIOU)[0], truth) for groups in samples], axis=0)


def of_runs(population, truth, images, repetitions, by):
    """Return the coverage of differences of two runs, `(K,)`, and of the scores of the first, `(K,)`."""
    random, coverage = np.random.default_rng(1), []
    for _ in range(repetitions):
        difference, score = compare(*([run] for run in population.counts(random, images)), by)
        coverage.append([holds(difference, np.subtract(*truth)), holds(score, truth[0])])
    return np.mean(coverage, axis=0)


def of_scenes(images, repetitions, **options):
    scenes, random = Scenes(**options), np.random.default_rng(3)
    truth = MIOU(sum(scenes.counts(random, 20_000).sum(1) for _ in range(20)))
    return of_runs(scenes, truth, images, repetitions, MIOU)


def of_samples(classes, skills, samples, repetitions):
    return of_runs(Samples(classes, skills), np.tile(skills, (1 + classes, 1)).T, samples, repetitions, ACCURACY)


def false_positives(population, images, repetitions, by):
    """Return how often a class, and the score, of equals differ significantly."""
    random, rates = np.random.default_rng(2), []
    for _ in range(repetitions):
        arms = bootstrap.resample_arms([[run] for run in population.counts(random, images)], by)
        (pair,) = analysis._compare_pairs(arms, None)
        rates.append([any(estimate.shown for estimate in pair.classes), pair.difference.shown])
    return np.mean(rates, axis=0)


def test_coverage__quick():
    assert (of_recipes(1, 0.0, 60, 100) >= 0.88).all()
    assert (of_recipes(3, 0.1, 60, 60) >= 0.88).all()
    assert (of_samples(10, (0.97, 0.97), 200, 60) >= 0.88).all()


def test_false_positives__quick():
    assert (false_positives(Samples(10, (0.5, 0.5)), 30, 60, ACCURACY) <= 0.1).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "training", "images"), [(1, 0.0, 233), (1, 0.0, 30), (2, 0.1, 200), (3, 0.05, 200), (3, 0.2, 200)]
)
def test_coverage__of_recipes_is_95_percent(runs, training, images):
    coverage = of_recipes(runs, training, images, 500)
    assert (coverage >= 0.92).all()
    assert (coverage <= 0.985).all()


@pytest.mark.slow
@pytest.mark.parametrize(("images", "repetitions"), [(60, 500), (233, 400), (1000, 250)])
def test_coverage__of_scenes_is_95_percent(images, repetitions):
    differences, scores = of_scenes(images, repetitions)
    assert 0.92 <= differences[0] <= 0.98
    # the rarest class is in a tenth of the images
    enough = [0.1 * images >= 20 or share >= 0.5 for share in (1, 1, 0.9, 0.5, 0.1)]
    for coverage in (differences[enough], scores[enough]):
        assert (coverage >= 0.92).all()
        assert (coverage <= 0.99).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "skills", "samples"),
    [(10, (0.97, 0.97), 200), (10, (0.97, 0.9), 200), (10, (0.97, 0.97), 1000), (10, (0.995, 0.99), 1000)],
)
def test_coverage__of_samples_is_at_least_95_percent(classes, skills, samples):
    # what is right or wrong comes in whole numbers: an interval that always holds as often as it says holds more often
    differences, scores = of_samples(classes, skills, samples, 250)
    assert (differences >= 0.92).all()
    assert (scores >= 0.93).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "skill", "samples"),
    [(10, 0.5, 20), (10, 0.5, 30), (20, 0.5, 100), (10, 0.5, 100), (100, 0.5, 200), (10, 0.8, 1000)],
)
def test_false_positives__of_equals_some_class_hardly_ever(classes, skill, samples):
    rates = false_positives(Samples(classes, (skill, skill)), samples, 300, ACCURACY)
    assert (rates <= 0.07).all()


@pytest.mark.slow
def test_false_positives__of_equals_in_scenes():
    rates = false_positives(Scenes((1, 0.9, 0.5, 0.1, 0.03), advantage=0), 233, 300, MIOU)
    assert (rates <= 0.07).all()
