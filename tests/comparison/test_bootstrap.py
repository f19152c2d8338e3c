import numpy as np
import pytest

from lightseg.comparison import bootstrap
from lightseg.metrics.scores import get_metric
from tests.comparison.fabricate import counts, predict

ACCURACY = get_metric("classification", "accuracy")
MIOU = get_metric("segmentation", "miou")


def compare(*groups, by=MIOU):
    """Return the differences of the first group to the second."""
    first, second = bootstrap.resample_arms(groups, by)
    return bootstrap.estimate_differences(bootstrap.compare_arms(first, second, np.random.default_rng(0)))


def estimate(*trials, by=ACCURACY):
    """Return the scores of one group."""
    return bootstrap.estimate_scores(bootstrap.resample_arms([trials], by)[0])


def disagreement(ours, theirs):
    """Return the difference in accuracy of two models, each of which alone is right on some of 100 samples."""
    common = 100 - ours - theirs
    right = [1] * ours + [0] * theirs + [1] * common, [0] * ours + [1] * theirs + [1] * common
    return compare(*([classified(values)] for values in right), by=ACCURACY)[0]


def classified(right):
    """Return counts of samples of the first of two classes, int64 `(N, 3, 2)`."""
    right = np.asarray(right)
    return np.stack([[right, 0 * right], [1 + 0 * right, 0 * right], [right, 1 - right]]).transpose(2, 0, 1)


def test_estimate_scores__interval_of_a_share_by_hand():
    # 64 of 100 right: Wilson's interval of 99, since a variance is known of so many, of 63.5 and 64.5
    share, *_ = estimate(classified([1] * 64 + [0] * 36))
    assert share.value == pytest.approx(0.64)
    assert (share.low, share.high) == pytest.approx((0.5368, 0.7322), abs=2e-3)
    assert np.isnan(share.p)


# exactly, after Clopper and Pearson: 0.025 to the power of 1 / n
@pytest.mark.parametrize(("samples", "low", "exact"), [(100, 0.9537, 0.964), (5, 0.463, 0.478), (2, 0.198, 0.158)])
def test_estimate_scores__all_right_is_not_certain(samples, low, exact):
    share, *_ = estimate(classified([1] * samples))
    assert (share.value, share.high) == (1, pytest.approx(1))
    assert share.low == pytest.approx(low, abs=1e-3)
    assert share.low == pytest.approx(exact, abs=0.05)


def test_estimate_scores__an_object_that_was_never_found():
    # IoU 0 on 9 images of 9: Wilson's upper end is t² / (9 + t²), t of 8 degrees of freedom being 2.306
    counts = np.tile([[[0, 9], [5, 5], [0, 9]]], (9, 1, 1))
    assert estimate(counts, by=MIOU)[1].high == pytest.approx(2.306**2 / (9 + 2.306**2), abs=5e-3)


def test_estimate_scores__one_image_that_outweighs_the_others_tells_little():
    # t of one degree of freedom is so large that nearly all scores are possible
    size = np.array([10_000] + [10] * 19)
    right = size * np.array([0.9] + [0.5] * 19)
    score = estimate(np.stack([[right], [size], [right]]).transpose(2, 0, 1).astype(int), by=MIOU)[1]
    assert score.value == pytest.approx(0.9, abs=0.01)
    assert score.low < 0.05


def test_estimate_scores__of_one_sample_nothing_is_known():
    assert np.isnan([estimate(classified([1]))[0].low, estimate(classified([1]))[0].high]).all()


def test_estimate_scores__a_spread_that_does_not_show_is_unknown():
    # the same IoU of one half on every image
    counts = np.tile([[[1, 1], [2, 2], [1, 1]]], (30, 1, 1))
    assert np.isnan([estimate(counts, by=MIOU)[0].low, estimate(counts, by=MIOU)[0].high]).all()


def test_estimate_differences__p_of_a_sign_test():
    # of 10 samples that differ, 9 speak for the first: McNemar's exact p is 0.021; of 15, 12: 0.035
    for ours, theirs, exact in ((9, 1, 0.021), (7, 1, 0.070), (12, 3, 0.035), (4, 0, 0.125), (5, 0, 0.0625)):
        difference = disagreement(ours, theirs)
        assert difference.value == pytest.approx((ours - theirs) / 100)
        assert 0.9 * exact < difference.p < exact + 0.03
        assert difference.shown == (difference.low > 0)


@pytest.mark.parametrize(("samples", "exact"), [(2, 0.5), (3, 0.25), (5, 0.0625), (10, 0.002)])
def test_estimate_differences__no_p_below_that_of_a_sign_test_where_all_agree(samples, exact):
    difference, *_ = compare([classified([1] * samples)], [classified([0] * samples)], by=ACCURACY)
    assert difference.p == pytest.approx(exact, rel=0.05)
    assert (difference.low <= 0) == (difference.p >= 0.05)
    assert difference.low < 1


def test_estimate_differences__the_sign_test_is_corrected_for_the_family():
    arms = bootstrap.resample_arms([[classified([1] * 10)], [classified([0] * 10)]], ACCURACY)
    results = bootstrap.compare_arms(*arms, np.random.default_rng(0))
    together = bootstrap.estimate_differences(results, results.sizes[:, 0], family=30)[0]
    assert together.p == pytest.approx(30 / 2**9)
    assert together.low <= 0


def test_compare_arms__a_class_that_all_get_right_may_differ_elsewhere():
    # 20 samples of a class, which both get right, and one of another class that they do not
    samples = [np.eye(2, dtype=int)[[0] * 20 + [1] * 20] for _ in range(2)]
    right = [np.ones(40, int), np.array([1] * 39 + [0])]
    runs = [
        np.stack([true * r[:, None], true, np.where(r[:, None], true, true[:, ::-1])], 1)
        for true, r in zip(samples, right, strict=True)
    ]
    _, first, second = compare([runs[0]], [runs[1]], by=ACCURACY)
    assert (first.value, first.p) == (0, 1)
    # an image of either arm that is not met moves the recall by 1 / 20, and 20 + 3 degrees of freedom have t 2.069
    assert first.high == pytest.approx(2.069 * np.sqrt(2) / 20, rel=0.03)
    assert second.value == pytest.approx(0.05)
    assert second.p == 1


def test_compare_arms__identical_runs_do_not_differ():
    run = counts(np.random.default_rng(0))
    for results in compare([run], [run.copy()]):
        assert (results.value, results.low, results.high, results.p) == (0, 0, 0, 1)


def test_compare_arms__identical_groups_whose_trials_differ_by_images_alone():
    # their mean IoU is all but the same, as each is right on the other half of the images
    halves = np.repeat([9, 3], 10), np.repeat([3, 9, 8], [10, 9, 1])
    trials = [np.stack([[r], 0 * r[None] + 10, [r]]).transpose(2, 0, 1) for r in halves]
    overall, _ = compare(trials, [trial.copy() for trial in trials])
    assert (overall.value, overall.low, overall.high, overall.p) == (0, 0, 0, 1)


def test_compare_arms__what_makes_an_image_hard_for_all_cancels():
    random = np.random.default_rng(0)
    true = random.integers(50, 500, (60, 3))
    hard = random.uniform(0.2, 1, (60, 1))
    better, worse = (predict(random, true, hard * skill) for skill in (0.90, 0.87))
    difference, *_ = compare([better], [worse])
    score, *_ = estimate(better, by=MIOU)
    assert difference.shown
    assert score.high - score.low > 5 * (difference.high - difference.low)


def test_compare_arms__the_other_way_round_is_the_opposite():
    first, second = ([counts(np.random.default_rng(seed))] for seed in (0, 1))
    forward, backward = compare(first, second)[0], compare(second, first)[0]
    assert (forward.value, forward.low, forward.high) == pytest.approx(
        (-backward.value, -backward.high, -backward.low), abs=1e-3
    )


def test_compare_arms__seeds_that_differ_widen_the_interval():
    random = np.random.default_rng(0)
    true = random.integers(50, 500, (100, 3))
    alike, apart = ([predict(random, true, skill) for skill in skills] for skills in ((0.8, 0.8, 0.8), (0.7, 0.8, 0.9)))
    base = [predict(random, true, 0.75) for _ in range(3)]
    assert compare(alike, base)[0].shown
    assert not compare(apart, base)[0].shown
    # of a single run nothing is known of other seeds
    assert compare(apart[2:], base)[0].shown


def test_compare_arms__a_class_in_one_image_shows_nothing():
    first, second = (counts(np.random.default_rng(seed)) for seed in (0, 1))
    for run in (first, second):
        run[1:, :, 2] = 0
    results = compare([first], [second])[3]
    assert results.value != 0
    assert np.isnan([results.low, results.high]).all()
    assert results.p == 1


def test_compare_arms__a_class_in_no_image_is_undefined():
    first, second = (counts(np.random.default_rng(seed)) for seed in (0, 1))
    for run in (first, second):
        run[:, :, 2] = 0
    overall, *_, absent = compare([first], [second])
    assert np.isnan([absent.value, absent.p]).all()
    assert not np.isnan([overall.value, overall.low, overall.p]).any()


def test_compare_arms__a_rare_class_is_judged_by_the_images_that_show_it():
    first, second = (
        counts(np.random.default_rng(seed), images=100, skill=skill) for seed, skill in ((0, 0.9), (1, 0.6))
    )
    many = compare([first], [second])[3]
    for run in (first, second):
        run[3:, :, 2] = 0
    few = compare([first], [second])[3]
    assert few.high - few.low > 3 * (many.high - many.low)


def test_estimate_differences__p_below_the_level_exactly_where_the_interval_leaves_out_nought(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    results = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        true = random.integers(50, 500, (30, 3))
        results += compare([predict(random, true, 0.8)], [predict(random, true, 0.806)])
    significant = [estimate.p < 0.05 for estimate in results]
    assert significant == [not estimate.low <= 0 <= estimate.high for estimate in results]
    assert 0 < sum(significant) < len(significant)


def test_estimate_scores__intervals_that_hold_together_are_wider():
    random = np.random.default_rng(0)
    arms = bootstrap.resample_arms([[counts(random)], [counts(random)]], MIOU)
    results = bootstrap.compare_arms(*arms, random)
    individual = bootstrap.estimate_differences(results)
    simultaneous = bootstrap.estimate_differences(results, results.sizes.max(1))
    for narrow, wide in zip(individual, simultaneous, strict=True):
        assert narrow.high - narrow.low < wide.high - wide.low
        assert narrow.p <= wide.p


def test_resample_arms__the_same_again():
    groups = [[counts(np.random.default_rng(seed))] for seed in (0, 1)]
    assert compare(*groups) == compare(*groups)


def test_resample_arms__in_chunks_as_at_once(monkeypatch):
    groups = [[counts(np.random.default_rng(seed), images=50)] for seed in (0, 1)]
    arms = bootstrap.resample_arms(groups, MIOU)
    # 64 resamples at a time: the generator gives the same numbers in any number of portions
    monkeypatch.setattr(bootstrap, "_CELLS", 3200)
    for arm, chunked in zip(arms, bootstrap.resample_arms(groups, MIOU), strict=True):
        assert (arm.draws == chunked.draws).all()


def test_compare_arms__the_standard_error_by_hand():
    # samples differ by 1, 1, -1, 0, 0, 0: the sample variance of their mean is (3 - 1/6) / 5 / 6; each of the two that
    # are added moves it by 1 / 6
    arms = bootstrap.resample_arms([[classified([1, 1, 0, 1, 1, 1])], [classified([0, 0, 1, 1, 1, 1])]], ACCURACY)
    results = bootstrap.compare_arms(*arms, np.random.default_rng(0))
    assert results.error[0] ** 2 == pytest.approx((3 - 1 / 6) / 30 + 2 / 36, rel=0.03)
    assert (results.sizes[:, 0] ** 2).mean() == pytest.approx(1, rel=0.05)
    assert results.images[0] == 3
    # three decide, alike: 3 - 1 + 4
    assert results.freedom[0] == pytest.approx(6)


def test_compare_arms__one_image_that_outweighs_the_others_decides_alone():
    # 20 images with a difference each, the first a thousand times as large
    size = np.array([1000] + [1] * 19)
    right = [size * 9, size * 8]
    runs = [np.stack([[r], [size * 10], [r]]).transpose(2, 0, 1) for r in right]
    results = bootstrap.compare_arms(*bootstrap.resample_arms([[run] for run in runs], MIOU), np.random.default_rng(0))
    assert results.images[1] == 20
    assert results.freedom[1] == pytest.approx(1 + 3, abs=0.01)


def test_compare_arms__what_only_one_of_both_shows_counts_too():
    # the class is in one image; there the first is right, and the second takes four others for it, too
    truth = np.array([[10, 10]] + [[20, 0]] * 9)
    first = np.stack([truth, truth, truth], axis=1)
    second = first.copy()
    second[1:5, 0, 0] -= 5
    second[1:5, 2] += [-5, 5]
    for ours, theirs in ((first, second), (second, first)):
        assert not np.isnan(compare([ours], [theirs])[2].low)


def test_compare_arms__uncertainty_of_both_groups_by_hand():
    # the same on all images, so that only training is chance: two variances of one degree of freedom each are of two
    groups = [[np.tile([[[r], [1000], [r]]], (400, 1, 1)) for r in pair] for pair in ((500, 600), (700, 800))]
    recall = get_metric("segmentation", "mean_accuracy")
    results = bootstrap.compare_arms(*bootstrap.resample_arms(groups, recall), np.random.default_rng(0))
    assert results.error[0] ** 2 == pytest.approx(2 * 0.1**2 / 2 / 2, rel=1e-3)
    assert results.freedom[0] == pytest.approx(2, rel=1e-2)


def test_resample_arms__what_images_explain_is_no_chance_of_training():
    # of 8 samples the trials differ on all, seven one way: their scores are 7/8 and 1/8, with variance 0.75² / 2; that
    # of the images is half the variance of their mean difference, (1 - 0.75²) / 7
    trials = [classified([1] * 7 + [0]), classified([0] * 7 + [1])]
    arm = bootstrap.resample_arms([trials], ACCURACY)[0]
    assert arm.training[0] == pytest.approx((0.75**2 / 2 - (1 - 0.75**2) / 7 / 2) / 2, abs=1e-3)
    assert arm.uncertainty[0] == pytest.approx((0.75**2 / 2 / 2) ** 2)


@pytest.mark.parametrize(("freedom", "student"), [(4, 2.776), (9, 2.262), (30, 2.042), (1e6, 1.960)])
def test_t_from_normal__by_the_tables(freedom, student):
    assert bootstrap._t_from_normal(1.959964, freedom) == pytest.approx(student, rel=0.01)
    assert bootstrap._normal_from_t(bootstrap._t_from_normal(2.5, freedom), freedom) == pytest.approx(2.5)
