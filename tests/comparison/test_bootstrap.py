from statistics import NormalDist

import numpy as np
import pytest

from lightseg.comparison import bootstrap
from lightseg.comparison.scores import metric
from tests.comparison.fabricate import counts, predict
from tests.comparison.simulation import Population

ACCURACY = metric("classification", "accuracy")
MIOU = metric("segmentation", "miou")


def compare(*groups, by=MIOU):
    """Estimates of the first less the second group."""
    first, second = bootstrap.arms(groups, by)
    return bootstrap.estimates(bootstrap.between(first, second, np.random.default_rng(0)))


def classified(right):
    """Samples of one class, or wrongly of another, `(N, 3, 2)`."""
    right = np.asarray(right)
    return np.stack([[right, 0 * right], [1 + 0 * right, 0 * right], [right, 1 - right]]).transpose(2, 0, 1)


def test_estimates__interval_of_a_share_by_hand():
    # 64 of 100 right: the share's standard error is sqrt(0.64 × 0.36 / 99) and t of 99 degrees of freedom 1.984
    arm = bootstrap.arms([[classified([1] * 64 + [0] * 36)]], ACCURACY)[0]
    share, *_ = bootstrap.estimates(bootstrap.alone(arm, np.random.default_rng(0)))
    assert share.value == pytest.approx(0.64)
    half = 1.984 * np.sqrt(0.64 * 0.36 / 99)
    assert (share.low, share.high) == pytest.approx((0.64 - half, 0.64 + half), abs=0.006)


def test_estimates__p_of_a_sign_test():
    # of 10 samples that differ, 9 speak for the first: McNemar's exact p is 0.021
    first, second = [1] * 69 + [0] * 31, [1] * 60 + [0] * 39 + [1]
    difference, *_ = compare([classified(first)], [classified(second)], by=ACCURACY)
    assert difference.value == pytest.approx(0.08)
    assert difference.p == pytest.approx(0.015, abs=0.01)


def test_between__identical_runs_do_not_differ():
    run = counts(np.random.default_rng(0))
    for found in compare([run], [run.copy()]):
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_between__what_makes_an_image_hard_for_all_cancels():
    random = np.random.default_rng(0)
    true = random.integers(50, 500, (60, 3))
    hard = random.uniform(0.2, 1, (60, 1))
    better, worse = (predict(random, true, hard * skill) for skill in (0.90, 0.87))
    difference, *_ = compare([better], [worse])
    score, *_ = bootstrap.estimates(bootstrap.alone(bootstrap.arms([[better]], MIOU)[0], random))
    assert difference.shown
    assert score.high - score.low > 8 * (difference.high - difference.low)


def test_between__the_other_way_round_is_the_opposite():
    first, second = ([counts(np.random.default_rng(seed))] for seed in (0, 1))
    one, other = compare(first, second)[0], compare(second, first)[0]
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low), abs=1e-3)


def test_between__seeds_that_differ_widen_the_interval():
    random = np.random.default_rng(0)
    true = random.integers(50, 500, (100, 3))
    alike, apart = ([predict(random, true, skill) for skill in skills] for skills in ((0.8, 0.8, 0.8), (0.7, 0.8, 0.9)))
    base = [predict(random, true, 0.75) for _ in range(3)]
    assert compare(alike, base)[0].shown
    assert not compare(apart, base)[0].shown
    # of a single run nothing is known of other seeds
    assert compare(apart[2:], base)[0].shown


def test_between__a_class_in_one_image_shows_nothing():
    first, second = (counts(np.random.default_rng(seed)) for seed in (0, 1))
    for run in (first, second):
        run[1:, :, 2] = 0
    found = compare([first], [second])[3]
    assert found.value != 0
    assert np.isnan([found.low, found.high]).all()
    assert found.p == 1


def test_between__a_class_in_no_image_is_undefined():
    first, second = (counts(np.random.default_rng(seed)) for seed in (0, 1))
    for run in (first, second):
        run[:, :, 2] = 0
    overall, *_, absent = compare([first], [second])
    assert np.isnan([absent.value, absent.p]).all()
    assert not np.isnan([overall.value, overall.low, overall.p]).any()


def test_between__a_rare_class_is_judged_by_the_images_that_show_it():
    first, second = (
        counts(np.random.default_rng(seed), images=100, skill=skill) for seed, skill in ((0, 0.9), (1, 0.6))
    )
    many = compare([first], [second])[3]
    for run in (first, second):
        run[3:, :, 2] = 0
    few = compare([first], [second])[3]
    assert few.high - few.low > 3 * (many.high - many.low)


def test_estimates__p_below_the_level_exactly_where_the_interval_leaves_out_nought(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        true = random.integers(50, 500, (30, 3))
        found += compare([predict(random, true, 0.8)], [predict(random, true, 0.806)])
    shown = [each.p < 0.05 for each in found]
    assert shown == [not each.low <= 0 <= each.high for each in found]
    assert 0 < sum(shown) < len(shown)


def test_estimates__intervals_that_hold_together_are_wider():
    random = np.random.default_rng(0)
    arms = bootstrap.arms([[counts(random)], [counts(random)]], MIOU)
    found = bootstrap.between(*arms, random)
    alone, together = bootstrap.estimates(found), bootstrap.estimates(found, found.ratio.max(1))
    for one, other in zip(alone, together, strict=True):
        assert one.high - one.low < other.high - other.low
        assert one.p <= other.p


def test_arms__the_same_again():
    groups = [[counts(np.random.default_rng(seed))] for seed in (0, 1)]
    assert compare(*groups) == compare(*groups)


def test_arms__in_chunks_as_at_once(monkeypatch):
    groups = [[counts(np.random.default_rng(seed), images=50)] for seed in (0, 1)]
    whole = bootstrap.arms(groups, MIOU)
    # 64 resamples at a time: the generator gives the same numbers in any number of portions
    monkeypatch.setattr(bootstrap, "_CELLS", 3200)
    for one, other in zip(whole, bootstrap.arms(groups, MIOU), strict=True):
        assert (one.draws == other.draws).all()


def coverage(runs, training, images, repetitions, monkeypatch):
    """How often the intervals hold the difference of the population: of the mean IoU, and of each class."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1000)
    population, random = Population(training), np.random.default_rng(0)
    # seeds as they are spread, not as 20 draws of them happen to be
    seeds = np.tile([training * NormalDist().inv_cdf((index + 0.5) / 20) for index in range(20)], (2, 1))
    known = population.counts(random, 10_000, seeds)
    truth = np.subtract(*[np.mean([MIOU(run.sum(0)) for run in recipe], axis=0) for recipe in known])
    held = []
    for _ in range(repetitions):
        found = compare(*population.counts(random, images, population.seeds(random, runs)))
        held.append([each.low <= value <= each.high for each, value in zip(found, truth, strict=True)])
    return np.mean(held, axis=0)


def test_coverage__quick(monkeypatch):
    assert (coverage(1, 0.0, 60, 100, monkeypatch) >= 0.88).all()
    assert (coverage(3, 0.1, 60, 60, monkeypatch) >= 0.88).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "training", "images"), [(1, 0.0, 233), (1, 0.0, 30), (2, 0.1, 200), (3, 0.05, 200), (3, 0.2, 200)]
)
def test_coverage__is_95_percent(runs, training, images, monkeypatch):
    held = coverage(runs, training, images, 1000, monkeypatch)
    assert (held >= 0.92).all()
    assert (held <= 0.98).all()
