import csv
import io
import json
import shutil

from rich.console import Console

from lightseg.comparison import export, table
from lightseg.comparison.text import reading, verdicts
from tests.comparison.fabricate import config, skilled, wide, write_run


def printed(comparison, width=80):
    file = io.StringIO()
    table.show(comparison, Console(file=file, width=width, highlight=False))
    return file.getvalue()


def test_show__groups_verdict_and_classes_in_80_columns(comparison):
    text = printed(comparison)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    best, worst = (line.split() for line in text.splitlines() if "1.50" in line)
    assert best[:4] == ["★", "width", "5", "2"]
    assert worst[:3] == ["width", "4", "2"]
    # parameters in millions, GFLOPs, images per second, time
    assert best[-5:] == ["1.50", "2.50", "30", "60", "s"]
    assert "width 5" in verdicts(comparison)[0]
    assert " ".join(text.split()).count(verdicts(comparison)[0]) == 1
    # absent classes have no row
    assert not [line for line in text.splitlines() if line.strip().startswith("car")]
    assert "Absent from the truth: car, never predicted." in " ".join(text.split())


def test_show__folds_have_mean_deviation_and_range(runs, tmp_path):
    assert "folds" not in printed(runs((wide(4), {})))
    for fold in range(3):
        facts = {"split": "val", "data": f"{fold}", "images": [f"{fold}-{index}" for index in range(40)]}
        write_run(tmp_path / f"fold{fold}", wide(8, fold=fold, folds=3), **facts)
        metrics = {"val/score": (0.5, 0.6, 0.85)[fold], "train/seconds": 60}
        (tmp_path / f"fold{fold}/metrics.json").write_text(json.dumps(metrics))
    shutil.rmtree(tmp_path / "run00")
    text = printed(runs())
    # the mean of 50, 60 and 85 is 65, and their squared deviations are 225, 25 and 400
    (line,) = (line.split() for line in text.splitlines() if "±" in line)
    assert " ".join(line) == "roads 3 65.0 ± 18.0 50.0 to 85.0"
    assert "folds mIoU % of folds lowest to highest" in " ".join(text.split())


def test_show__one_run(runs):
    text = printed(runs((config(), {})))
    assert "roads" in text
    assert "★" not in text
    assert "difference" not in text


def test_show__equal_scores_of_a_class_have_no_best(runs):
    (counts,) = skilled(0.8)
    text = printed(runs((wide(4), {"logged": counts}), (wide(5), {"logged": counts})))
    assert sum("★" in line for line in text.splitlines()) == 2  # the best of the groups, and the legend


def test_show__more_groups_than_fit_side_by_side(runs):
    text = printed(runs(*[(wide(index), {"logged": counts}) for index, counts in enumerate(skilled(*[0.8] * 7))]))
    assert max(map(len, text.splitlines())) <= 80
    assert sum(line.strip().startswith("sky") for line in text.splitlines()) == 2


def test_show__eight_groups_with_long_labels_by_rank(runs):
    logged = skilled(*[0.9 - 0.05 * index for index in range(8)])
    recipes = [config(model__optimizer__lr=0.1 / 2**k, model__loss={"ce": 1.0, "dice": float(k)}) for k in range(8)]
    text = printed(runs(*[(recipe, {"logged": counts}) for recipe, counts in zip(recipes, logged, strict=True)]))
    assert max(map(len, text.splitlines())) <= 80
    assert "★ #1 loss {ce:" in text
    assert "#1 is better than #8 by" in text
    # one table of classes, with a short column for each group
    (head,) = (line.split() for line in text.splitlines() if line.startswith(" IoU %"))
    assert head == ["IoU", "%", *(f"#{rank}" for rank in range(1, 9))]
    assert "difference shown to #1 mIoU in %" in " ".join(text.split())


def test_show__what_differs_where_labels_do_not_say_it(runs):
    others = {"model__optimizer__lr": 0.1, "trainer__max_epochs": 9, "data__batch_size": 2, "model__net__depth": 3}
    text = " ".join(printed(runs((config(), {}), (config(**others), {}))).split())
    assert "depth 3, lr 0.1, batch_size 2" in text


def test_show__the_size_of_the_input_where_it_differs(runs, tmp_path):
    assert "input" not in printed(runs((wide(4), {}), (wide(8), {})))
    (tmp_path / "run01" / "model.json").write_text('{"parameters": 1500000, "gflops": 10, "input": [3, 64, 64]}')
    lines = printed(runs()).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "input" in line] == [
        "width 4: width 4, input 3×32×32",
        "width 8: width 8, input 3×64×64",
    ]


def test_cost__of_runs_that_differ_is_left_out(runs, tmp_path):
    runs((wide(4), {}), (wide(8, seed=1), {}))
    (tmp_path / "run01" / "model.json").write_text('{"parameters": 9, "gflops": 2.5, "input": [3, 32, 32]}')
    grouped = runs(by="batch_size")
    assert grouped.groups[0].cost == {"parameters": None, "gflops": 2.5, "input": [3, 32, 32]}
    assert "1.50" not in printed(grouped)
    export.write_csv(grouped, tmp_path / "groups.csv")
    (row,) = csv.DictReader((tmp_path / "groups.csv").read_text().splitlines())
    assert (row["parameters"], row["gflops"], row["input"]) == ("", "2.5", "3×32×32")
    export.write_json(grouped, tmp_path / "all.json")
    (group,) = json.loads((tmp_path / "all.json").read_text())["groups"]
    assert (group["parameters"], group["gflops"], group["input"]) == (None, 2.5, [3, 32, 32])


def test_compare__throughput_is_the_median_run(runs, tmp_path):
    runs(*[(wide(4, seed=seed), {}) for seed in range(3)])
    for index, speed in enumerate((10, 20, 900)):
        (tmp_path / f"run0{index}" / "metrics.jsonl").write_text(
            json.dumps({"step": 1, "epoch": 0, "train/images_per_s": speed}) + "\n"
        )
    assert runs().groups[0].images_per_s == 20


def test_reading__recipes_that_one_key_puts_together_are_no_seeds(runs):
    logged = skilled(0.8, 0.81, 0.82, 0.9)
    configs = [wide(width, data__batch_size=size) for size in (2, 4) for width in (4, 8)]
    grouped = runs(
        *[(config, {"logged": counts}) for config, counts in zip(configs, logged, strict=True)], by="batch_size"
    )
    assert [group.recipes for group in grouped.groups] == [2, 2]
    assert reading(grouped)[-1].startswith("The intervals of the differences include the variance within groups")
