import numpy as np
import pytest

from lightseg.comparison.analysis import compare
from lightseg.comparison.text import class_verdicts, reading, verdicts
from lightseg.errors import UserError
from lightseg.runs.read import find
from tests.comparison.fabricate import counts, skilled, wide, write_run


def test_compare__a_run_and_its_copy_do_not_differ(runs):
    same = counts(np.random.default_rng(0))
    comparison = runs((wide(4), {"logged": same}), (wide(8), {"logged": same}))
    for estimate in (comparison.pairs[0].difference, *comparison.pairs[0].classes):
        assert (estimate.value, estimate.low, estimate.high, estimate.p) == (0, 0, 0, 1)
    assert verdicts(comparison) == ["no difference shown between width 4 and width 8: 0.0 (95 % interval 0.0 to 0.0)"]
    assert class_verdicts(comparison) == ["no class shows a difference"]


@pytest.mark.parametrize("images", [20, 233])
def test_compare__a_destroyed_class_is_named(images, runs):
    intact = skilled(0.8, images=images)[0]
    broken = intact.copy()
    # cars are taken for sky now; the IoU of sky suffers by that, road's does not
    broken[:, 2, 0] += broken[:, 0, 2]
    broken[:, 2, 2] -= broken[:, 0, 2]
    broken[:, 0, 2] = 0
    comparison = runs((wide(4), {"logged": intact}), (wide(8), {"logged": broken}))
    classes = dict(zip(comparison.classes, comparison.pairs[0].classes, strict=True))
    assert classes["car"].p < 0.01
    assert classes["car"].value == pytest.approx(comparison.groups[0].classes[2].value)
    assert classes["road"].p == 1
    assert class_verdicts(comparison)[0].startswith("car +")
    assert "road" not in class_verdicts(comparison)[0]
    assert verdicts(comparison)[0].startswith("width 4 is better than width 8 by ")


def test_compare__against_a_baseline(runs):
    comparison = runs(
        *[(wide(w), {"logged": c}) for w, c in zip((4, 8, 16), skilled(0.8, 0.9, 0.7), strict=True)], baseline="width 4"
    )
    assert [group.label for group in comparison.groups] == ["width 8", "width 4", "width 16"]
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [(0, 1), (2, 1)]
    better, worse = verdicts(comparison)
    assert better.startswith("width 8 is better than width 4 by ")
    assert worse.startswith("width 16 is worse than width 4 by ")
    assert "−" not in worse


def test_compare__the_baseline_is_the_folder_of_a_run(runs, tmp_path):
    arguments = [(wide(w), {"logged": c}) for w, c in zip((4, 8), skilled(0.8, 0.9), strict=True)]
    assert runs(*arguments, baseline=str(tmp_path / "run00")).baseline == 1
    with pytest.raises(UserError, match="--baseline width 5: no group or run of these; did you mean width"):
        runs(baseline="width 5")


def test_compare__seeds_are_one_group_with_their_spread(runs):
    logged = skilled(0.8, 0.81, 0.82, 0.9, 0.9, 0.9)
    comparison = runs(
        *[(wide(4 + index // 3, seed=index % 3), {"logged": pixels}) for index, pixels in enumerate(logged)]
    )
    best, worst = comparison.groups
    assert [len(group.trials) for group in comparison.groups] == [3, 3]
    scores = [trial.score for trial in worst.trials]
    assert worst.score.value == pytest.approx(np.mean(scores))
    assert worst.deviation == pytest.approx(np.std(scores, ddof=1))
    assert worst.deviation > best.deviation
    assert comparison.pairs[0].seeds
    assert comparison.pairs[0].difference.shown
    assert "include the variance of training" in reading(comparison)[-1]


def test_compare__one_run_has_no_interval_over_seeds(runs):
    comparison = runs(*[(wide(w), {"logged": c}) for w, c in zip((4, 8), skilled(0.8, 0.9), strict=True)])
    assert "for these trained models; the variance between seeds is unknown" in reading(comparison)[-1]


def test_compare__two_seeds_are_reported_as_few(runs):
    logged = skilled(0.8, 0.8, 0.81, 0.81)
    comparison = runs(
        *[(wide(4 + index // 2, seed=index % 2), {"logged": pixels}) for index, pixels in enumerate(logged)]
    )
    assert "Two seeds hardly determine the variance of training" in reading(comparison)[-1]
    estimates = [estimate for pair in comparison.pairs for estimate in (pair.difference, *pair.classes)]
    assert all(-1 <= estimate.low <= estimate.high <= 1 for estimate in estimates)


def test_compare__a_repeated_seed_is_reported(runs):
    comparison = runs((wide(4), {}), (wide(4), {}), (wide(8), {}))
    assert comparison.notes == (
        "width 4: 2 runs have the seed 0; they may differ less than runs of different seeds do",
    )


def test_compare__a_recipe_and_seed_again_is_compared_run_by_run(runs):
    comparison = runs(*[(wide(4), {"logged": pixels}) for pixels in skilled(0.8, 0.9)])
    assert [group.label for group in comparison.groups] == ["run01", "run00"]
    assert comparison.notes == ("the runs are of one recipe and one seed: each of them is compared by itself",)
    assert verdicts(comparison)[0].startswith("run01 is better than run00 by ")


def test_compare__by_run(runs):
    comparison = runs(*[(wide(4, seed), {"logged": pixels}) for seed, pixels in enumerate(skilled(0.8, 0.9))], by="run")
    assert [(group.label, len(group.trials)) for group in comparison.groups] == [
        ("run01, seed 1", 1),
        ("run00, seed 0", 1),
    ]


def test_compare__the_order_does_not_matter(tmp_path):
    for index, logged in enumerate(skilled(0.8, 0.9, 0.7)):
        write_run(tmp_path / f"{index}", wide(index), logged)
    ways = [[str(tmp_path / name) for name in names] for names in ("012", "210", "102")]
    first, *others = [compare(find(way)[0]) for way in ways]
    for result in others:
        assert result.pairs == first.pairs
        # in words, where nan is nan: since Python 3.13, data classes with one are not equal
        assert [f"{g.label} {g.score}" for g in result.groups] == [f"{g.label} {g.score}" for g in first.groups]


def test_compare__all_pairs_hold_together(runs):
    logged = skilled(0.8, 0.805, 0.81)
    two = runs((wide(4), {"logged": logged[0]}), (wide(8), {"logged": logged[1]}))
    three = runs((wide(16), {"logged": logged[2]}))
    assert len(three.pairs) == 3
    alone = two.pairs[0].difference
    together = next(
        p for p in three.pairs if {three.groups[i].label for i in (p.first, p.second)} == {"width 4", "width 8"}
    )
    assert together.difference.high - together.difference.low > alone.high - alone.low
    assert "The intervals of the 3 differences hold together" in reading(three)[1]


def test_compare__of_many_groups_pairs_with_the_best_are_reported(runs):
    logged = skilled(*np.linspace(0.7, 0.8, 7), images=30)
    comparison = runs(*[(wide(index), {"logged": pixels}) for index, pixels in enumerate(logged)])
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [(0, index) for index in range(1, 7)]
    assert "Of 21 pairs, those with the best are reported" in reading(comparison)[1]


def test_compare__by_a_key(runs):
    logged = skilled(0.8, 0.81, 0.9)
    configs = [wide(4), wide(4, model__optimizer__lr=0.1), wide(8)]
    comparison = runs(
        *[(config, {"logged": pixels}) for config, pixels in zip(configs, logged, strict=True)],
        by="net.width",
    )
    assert [(group.label, len(group.trials)) for group in comparison.groups] == [("width 8", 1), ("width 4", 2)]
    assert "width 4: its runs differ by more than seeds: lr" in comparison.notes


def test_compare__folds_are_joined(runs):
    """Two folds of each of two recipes: each pair of folds is one trial on all images."""
    arguments = []
    for width, logged in zip((4, 8), skilled(0.8, 0.9), strict=True):
        for fold in (1, 0):
            part = {"logged": logged[fold::2], "images": [f"i{index:02}" for index in range(fold, 60, 2)]}
            arguments.append((wide(width, fold=fold, folds=2), {**part, "split": "val", "data": f"fold{fold}"}))
    comparison = runs(*arguments)
    assert (comparison.split, len(comparison.images), [len(group.trials) for group in comparison.groups]) == (
        "val",
        60,
        [1, 1],
    )
    assert (comparison.groups[1].trials[0].counts == skilled(0.8, 0.9)[0]).all()
    assert [run.fold for run in comparison.groups[0].trials[0].runs] == [0, 1]
    assert comparison.notes == ("val also chose the checkpoint of each run: its scores are a little too high",)


def test_compare__a_missing_fold_is_reported(runs):
    arguments = [
        (wide(4, fold=fold, folds=3), {"split": "val", "data": f"{fold}", "images": [f"{fold}-{i}" for i in range(40)]})
        for fold in (0, 2)
    ]
    assert "roads, seed 0: no fold 1" in runs(*arguments).notes


def test_compare__folds_that_overlap_are_refused(runs):
    with pytest.raises(UserError, match="run00 and 1 more folds have images in common .image-0000"):
        runs(*[(wide(4, fold=fold, folds=2), {"split": "val"}) for fold in (0, 1)])


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"data": "0ther"}, "data: the content of the split is another .hash 5ha and 0ther"),
        ({"protocol": "crops"}, "protocol: “whole images” and “crops”"),
        (
            {"images": [f"image-{i:04}" for i in range(5, 45)]},
            "images: only 5 images .image-0000, .*first, only 5 .*second, 35 in both",
        ),
        (
            {"logged": counts(np.random.default_rng(1))},
            "truth: that of 40 images .image-0000, image-0001, image-0002 and 37 more",
        ),
    ],
)
def test_compare__what_was_scored_otherwise_is_refused_unless_forced(facts, message, runs):
    with pytest.raises(UserError, match=f"(?s)run00 and .*run01 do not compare on test:.*{message}.*or --force it"):
        runs((wide(4), {}), (wide(8), facts))
    comparison = runs(force=True)
    assert comparison.notes[0].startswith("forced: ")
    assert len(comparison.images) == (35 if "images" in facts else 40)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"classes": ("sky", "road", "cat")}, r"classes: \[sky, road, car\] and \[sky, road, cat\]"),
        ({"kind": "classification"}, "kind: “segmentation” and “classification”"),
    ],
)
def test_compare__other_classes_are_refused_even_if_forced(facts, message, runs):
    with pytest.raises(UserError, match=f"(?s)do not compare on test:.*{message}.*\nleave one of them out$"):
        runs((wide(4), {}), (wide(8), facts), force=True)


def test_compare__images_in_common_are_those_of_the_same_name(runs):
    """Forced on 20 of 40 images, in another order: the score is that of these 20."""
    (pixels,) = skilled(0.8, images=40)
    names = [f"image-{index:04}" for index in range(20, 40)][::-1]
    comparison = runs(
        (wide(4), {"logged": pixels}), (wide(8), {"logged": pixels[20:][::-1], "images": names}), force=True
    )
    assert comparison.images == tuple(names[::-1])
    assert comparison.pairs[0].difference.value == 0


def test_compare__no_counts(runs, tmp_path):
    runs((wide(4), {}))
    with pytest.raises(UserError, match="run00: has no val score; compare with --split test"):
        runs(split="val")
    (tmp_path / "run00" / "per_image_test.npz").unlink()
    with pytest.raises(
        UserError, match="run00: has no per_image_test.npz: .*older version of lightseg; train it again"
    ):
        runs()


def test_compare__another_metric(runs):
    comparison = runs((wide(4), {}), (wide(8), {}), metric_name="mean_accuracy")
    assert (comparison.metric, comparison.class_metric) == ("mean accuracy", "recall")


def test_compare__a_classification(runs):
    right = np.random.default_rng(0).random((2, 80)) < [[0.9], [0.4]]
    true = np.eye(3, dtype=int)[np.arange(80) % 3]
    samples = [np.stack([true * r[:, None], true, np.where(r[:, None], true, np.roll(true, 1, 1))], 1) for r in right]
    facts = {"kind": "classification"}
    comparison = runs(*[(wide(w), {"logged": s, **facts}) for w, s in zip((4, 8), samples, strict=True)])
    assert comparison.metric == "accuracy"
    assert comparison.groups[0].score.value == pytest.approx(right[0].mean())
    assert comparison.pairs[0].difference.shown


def test_compare__a_class_that_few_images_show_is_named(runs):
    logged = skilled(0.8, 0.9)
    for pixels in logged:
        pixels[19:, :, 2] = 0
    comparison = runs(*[(wide(w), {"logged": pixels}) for w, pixels in zip((4, 8), logged, strict=True)])
    assert reading(comparison)[2].startswith("Fewer than 20 images show car: ")


def test_compare__no_class_of_equal_skill_is_told_to_differ_by_two_samples(runs):
    """Three classes of two samples each: both right in the one model, both wrong in the other."""
    true = np.eye(3, dtype=int)[[0, 0, 1, 1, 2, 2]]
    wrong = np.roll(true, 1, 1)
    samples = [
        np.stack([true * (true == guess), true, guess], 1) for guess in (true, np.where(true[:, :1], wrong, true))
    ]
    facts = {"kind": "classification"}
    comparison = runs(*[(wide(w), {"logged": pixels, **facts}) for w, pixels in zip((4, 8), samples, strict=True)])
    assert comparison.pairs[0].classes[0].value == 1
    assert class_verdicts(comparison) == ["no class shows a difference"]
    assert verdicts(comparison)[0].startswith("no difference shown")
    assert all(estimate.low < estimate.high for estimate in (comparison.groups[0].score, *comparison.groups[0].classes))


def test_compare__no_p_below_that_of_a_sign_test_of_all_that_differ(runs):
    """Six samples of one class, which one model gets right and two others wrong: two pairs differ, two classes do."""
    true = np.eye(3, dtype=int)[[0] * 6]
    wrong = np.roll(true, 1, 1)
    samples = [np.stack([true * (true == guess), true, guess], 1) for guess in (true, wrong, wrong)]
    arguments = zip((4, 8, 16), samples, strict=True)
    comparison = runs(*[(wide(w), {"logged": pixels, "kind": "classification"}) for w, pixels in arguments])
    for pair in comparison.pairs[:2]:
        for estimate in (pair.difference, pair.classes[0]):
            assert (estimate.value, estimate.p) == (1, pytest.approx(2 * 2**-5))


def test_compare__the_throughput_is_the_median_of_the_runs(runs, tmp_path):
    runs(*[(wide(4, seed=seed), {}) for seed in range(3)])
    for index, speed in enumerate((20, 30, 90)):
        (tmp_path / f"run{index:02}" / "metrics.jsonl").write_text(
            f'{{"step": 1, "epoch": 0, "train/images_per_s": {speed}}}\n'
        )
    assert runs().groups[0].images_per_s == 30


def test_compare__an_absent_class_that_only_some_runs_predict_is_noted(runs):
    without, predicted = skilled(0.8, 0.8)
    for logged in (without, predicted):
        logged[:, :2, 2] = 0
    without[:, 2, 2], predicted[:, 2, 2] = 0, 1
    comparison = runs((wide(4), {"logged": predicted}), (wide(8), {"logged": predicted}))
    assert not any("car is absent from the truth" in note for note in comparison.notes)
    assert (
        "car is absent from the truth and predicted by 2 of 3 runs, whose means count it as 0; the means of the others "
        "leave it out"
    ) in runs((wide(16), {"logged": without})).notes
