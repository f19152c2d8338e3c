import csv
import io
import json

import pytest
from rich.console import Console

from lightseg.comparison import export, table
from lightseg.comparison.results import Estimate
from lightseg.comparison.text import chance, interval, percent, reading, verdicts
from tests.comparison.fabricate import config, skilled, wide


@pytest.fixture
def comparison(runs):
    logged = skilled(0.8, 0.81, 0.9, 0.9)
    logged[2][:, :, 2] = logged[3][:, :, 2] = logged[0][:, :, 2] = logged[1][:, :, 2] = 0
    return runs(*[(wide(4 + index // 2, seed=index % 2), {"logged": counts}) for index, counts in enumerate(logged)])


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
    assert [line.split() for line in text.splitlines() if line.strip().startswith("car")] == [
        ["car", "absent", "absent"]
    ]


def test_show__one_run(runs):
    text = printed(runs((config(), {})))
    assert "roads" in text
    assert "★" not in text
    assert "difference" not in text


def test_show__more_groups_than_fit_side_by_side(runs):
    text = printed(runs(*[(wide(index), {"logged": counts}) for index, counts in enumerate(skilled(*[0.8] * 7))]))
    assert max(map(len, text.splitlines())) <= 80
    assert sum(line.strip().startswith("sky") for line in text.splitlines()) == 2


def test_show__what_differs_where_labels_do_not_say_it(runs):
    others = {"model__optimizer__lr": 0.1, "trainer__max_epochs": 9, "data__batch_size": 2, "model__net__depth": 3}
    text = " ".join(printed(runs((config(), {}), (config(**others), {}))).split())
    assert "depth 3, lr 0.1, batch_size 2" in text


def test_show__the_size_of_the_input_where_it_differs(runs, tmp_path):
    assert "input" not in printed(runs((wide(4), {}), (wide(8), {})))
    (tmp_path / "run01" / "model.json").write_text('{"parameters": 1500000, "gflops": 10, "input": [3, 64, 64]}')
    lines = printed(runs()).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[-6:-3] for line in lines if "1.50" in line] == [
        ["1.50", "2.50", "3×32×32"],
        ["1.50", "10.00", "3×64×64"],
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


def test_write_csv__a_row_for_each_group(comparison, tmp_path):
    export.write_csv(comparison, tmp_path / "new" / "groups.csv")
    rows = list(csv.DictReader((tmp_path / "new" / "groups.csv").read_text().splitlines()))
    assert [(row["group"], row["n"], row["config/width"], row["IoU/car"]) for row in rows] == [
        ("width 5", "2", "5", ""),
        ("width 4", "2", "4", ""),
    ]
    assert float(rows[0]["mIoU"]) == comparison.groups[0].score.value


def test_write_json__everything(comparison, tmp_path):
    export.write_json(comparison, tmp_path / "all.json")
    content = json.loads((tmp_path / "all.json").read_text())
    pair = content["pairs"][0]
    assert (pair["first"], pair["second"], content["best"]) == ("width 5", "width 4", "width 5")
    assert pair["difference"]["value"] == comparison.pairs[0].difference.value
    assert pair["classes"]["car"] == {"value": None, "low": None, "high": None, "p": None}
    assert pair["words"] == verdicts(comparison)[0]
    assert [trial["seed"] for trial in content["groups"][0]["trials"]] == [0, 1]
    assert content["groups"][1]["trials"][0]["runs"] == [str(comparison.groups[1].runs[0].folder)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.9721, "97.2"), (-0.0451, "−4.5"), (-0.0001, "0.0"), (float("nan"), "absent")],
)
def test_percent(value, expected):
    assert percent(value) == expected


def test_interval__finer_where_it_is_narrow_and_turned_round():
    assert interval(Estimate(0.021, 0.008, 0.033, 0.01)) == "0.8 to 3.3"
    assert interval(Estimate(0.0005, 0.0001, 0.0009, 0.01)) == "0.01 to 0.09"
    assert interval(Estimate(-0.021, -0.033, -0.008, 0.01), -1) == "0.8 to 3.3"
    assert interval(Estimate(0.1, float("nan"), float("nan"), 1)) == "unknown"


def test_chance():
    assert [chance(p) for p in (0.0001, 0.0049, 0.012, 1)] == ["p < 0.001", "p = 0.0049", "p = 0.01", "p = 1.00"]
    # 0.05 is what a difference that is shown stays below
    assert [chance(p) for p in (0.044, 0.046, 0.0499, 0.05, 0.053)] == [
        f"p = {text}" for text in ("0.04", "0.046", "0.0499", "0.05", "0.05")
    ]
