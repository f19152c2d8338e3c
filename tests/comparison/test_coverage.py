"""How often 95 % intervals hold what is true of a population, and how often equals are told to differ."""

from statistics import NormalDist

import numpy as np
import pytest

from lightseg.comparison import analysis, bootstrap
from lightseg.metrics.scores import metric
from tests.comparison.simulation import Population, Samples, Scenes

ACCURACY = metric("classification", "accuracy")
MIOU = metric("segmentation", "miou")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1000)


def holds(found, truth):
    # what is unknown holds anything
    return [not (each.low > value or each.high < value) for each, value in zip(found, truth, strict=True)]


def compare(first, second, by):
    """Estimates of the first less the second group, each by itself, and of the first alone."""
    arms = bootstrap.arms((first, second), by)
    return bootstrap.estimates(bootstrap.between(*arms, np.random.default_rng(0))), bootstrap.alone(arms[0])


def of_recipes(runs, training, images, repetitions):
    """Coverage of differences of groups of runs: of the mean IoU, and of each class."""
    population, random = Population(training), np.random.default_rng(0)
    # seeds as they are spread, not as 20 draws of them happen to be
    seeds = np.tile([training * NormalDist().inv_cdf((index + 0.5) / 20) for index in range(20)], (2, 1))
    known = population.counts(random, 10_000, seeds)
    truth = np.subtract(*[np.mean([MIOU(run.sum(0)) for run in recipe], axis=0) for recipe in known])
    drawn = (population.counts(random, images, population.seeds(random, runs)) for _ in range(repetitions))
    return np.mean([holds(compare(*groups, MIOU)[0], truth) for groups in drawn], axis=0)


def of_runs(population, truth, images, repetitions, by):
    """Coverage of differences of two runs, `(K,)`, and of the scores of the first, `(K,)`."""
    random, held = np.random.default_rng(1), []
    for _ in range(repetitions):
        difference, score = compare(*([run] for run in population.counts(random, images)), by)
        held.append([holds(difference, np.subtract(*truth)), holds(score, truth[0])])
    return np.mean(held, axis=0)


def of_scenes(images, repetitions, **options):
    scenes, random = Scenes(**options), np.random.default_rng(3)
    truth = MIOU(sum(scenes.counts(random, 20_000).sum(1) for _ in range(20)))
    return of_runs(scenes, truth, images, repetitions, MIOU)


def of_samples(classes, skills, samples, repetitions):
    return of_runs(Samples(classes, skills), np.tile(skills, (1 + classes, 1)).T, samples, repetitions, ACCURACY)


def told_apart(population, images, repetitions, by):
    """How often some class, and the score, of equals is told to differ."""
    random, told = np.random.default_rng(2), []
    for _ in range(repetitions):
        arms = bootstrap.arms([[run] for run in population.counts(random, images)], by)
        (pair,) = analysis._pairs(arms, None)
        told.append([any(each.shown for each in pair.classes), pair.difference.shown])
    return np.mean(told, axis=0)


def test_coverage__quick():
    assert (of_recipes(1, 0.0, 60, 100) >= 0.88).all()
    assert (of_recipes(3, 0.1, 60, 60) >= 0.88).all()
    assert (of_samples(10, (0.97, 0.97), 200, 60) >= 0.88).all()


def test_told_apart__quick():
    assert (told_apart(Samples(10, (0.5, 0.5)), 30, 60, ACCURACY) <= 0.1).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "training", "images"), [(1, 0.0, 233), (1, 0.0, 30), (2, 0.1, 200), (3, 0.05, 200), (3, 0.2, 200)]
)
def test_coverage__of_recipes_is_95_percent(runs, training, images):
    held = of_recipes(runs, training, images, 500)
    assert (held >= 0.92).all()
    assert (held <= 0.985).all()


@pytest.mark.slow
@pytest.mark.parametrize(("images", "repetitions"), [(60, 500), (233, 400), (1000, 250)])
def test_coverage__of_scenes_is_95_percent(images, repetitions):
    differences, scores = of_scenes(images, repetitions)
    assert 0.92 <= differences[0] <= 0.98
    # the rarest class is in a tenth of the images
    enough = [0.1 * images >= 20 or share >= 0.5 for share in (1, 1, 0.9, 0.5, 0.1)]
    for held in (differences[enough], scores[enough]):
        assert (held >= 0.92).all()
        assert (held <= 0.99).all()


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
def test_told_apart__of_equals_some_class_hardly_ever(classes, skill, samples):
    found = told_apart(Samples(classes, (skill, skill)), samples, 300, ACCURACY)
    assert (found <= 0.07).all()


@pytest.mark.slow
def test_told_apart__of_equals_in_scenes():
    found = told_apart(Scenes((1, 0.9, 0.5, 0.1, 0.03), advantage=0), 233, 300, MIOU)
    assert (found <= 0.07).all()
