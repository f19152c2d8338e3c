"""Results of a comparison: what groups derive from their runs."""

import json

import pytest

from lightseg.comparison.results import Estimate
from tests.comparison.fabricate import config, skilled, wide


@pytest.mark.parametrize(("p", "shown"), [(0.049, True), (0.05, False), (float("nan"), False)])
def test_estimate__is_shown_where_it_is_significant(p, shown):
    assert Estimate(0.1, 0.0, 0.2, p).shown is shown


def test_comparison__groups_seeds_costs_and_classes_without_a_pixel(runs):
    logged = skilled(0.9, 0.9, 0.5)
    for counts in logged:
        counts[:, :, 2] = 0
    comparison = runs(
        (wide(8, seed=1), {"logged": logged[0]}),
        (wide(8, seed=2), {"logged": logged[1]}),
        (wide(4, seed=3), {"logged": logged[2]}),
    )
    best, other = comparison.groups
    assert comparison.best == 0
    assert comparison.absent == ["car"]
    assert [trial.seed for trial in best.trials] == [1, 2]
    assert [run.seed for run in best.runs] == [1, 2]
    assert (best.recipes, other.recipes) == (1, 1)
    assert other.cost == {"parameters": 1_500_000, "gflops": 2.5, "input": [3, 32, 32]}
    assert other.input_size == "3×32×32"
    assert not comparison.inputs_differ


def test_cost__is_unknown_where_runs_of_a_group_differ(runs, tmp_path):
    logged = skilled(0.9, 0.8, 0.5)
    comparison = runs(
        (wide(8, seed=1), {"logged": logged[0]}),
        (wide(8, seed=2), {"logged": logged[1]}),
        (wide(4, seed=3), {"logged": logged[2]}),
    )
    large = {"parameters": 1_500_000, "gflops": 9.0, "input": [3, 64, 64]}
    for run in comparison.groups[0].runs[:1]:
        (run.folder / "model.json").write_text(json.dumps(large))
    again = runs()
    assert again.groups[0].cost == {"parameters": 1_500_000, "gflops": None, "input": None}
    assert again.groups[0].input_size == ""
    assert again.inputs_differ


def test_recipes__of_groups_by_one_key(runs):
    logged = skilled(0.9, 0.8, 0.7, 0.5)
    changes = [{"width": 4, "seed": 1}, {"width": 8, "seed": 1}]
    comparison = runs(
        *[
            (wide(**change, model__loss=loss), {"logged": counts})
            for (loss, change), counts in zip(
                [(loss, change) for loss in ({"ce": 1.0}, {"dice": 1.0}) for change in changes], logged, strict=True
            )
        ],
        by="model.init_args.loss",
    )
    assert [group.recipes for group in comparison.groups] == [2, 2]


def test_names__of_many_groups_with_long_labels_are_ranks(runs):
    def change(index):
        return config(model__optimizer__lr=0.1 / 2**index, model__loss={"ce": 1.0, "dice": float(index)})

    logged = skilled(0.9, 0.8, 0.7, 0.6)
    few = runs(*[(change(index), {"logged": logged[index]}) for index in range(3)])
    assert few.names == few.short_names == [group.label for group in few.groups]
    many = runs((change(3), {"logged": logged[3]}))
    assert many.short_names == ["#1", "#2", "#3", "#4"]
    assert many.names[1] == "#2 loss {ce: 1.0, dice: 1.0}, lr 0.05"
