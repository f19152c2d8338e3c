"""Panels of a W&B workspace, as they are sent."""

import pytest

pytest.importorskip("wandb_workspaces")

from lightseg.tracking.wandb_workspace import spec, workspace

CHOICES = ["model.init_args.optimizer.init_args.lr", "model.init_args.net.init_args.encoder"]


def _sections(scores=()):
    content = spec(workspace("project", "team", scores, CHOICES, "abc12345"))
    return content, content["spec"]["section"]["panelBankConfig"]["sections"]


def test_spec__is_the_same_each_time_with_distinct_ids():
    content, sections = _sections()
    assert content == _sections()[0]
    ids = [panel["__id__"] for section in sections for panel in section["panels"]]
    assert len(ids) == len(set(ids))
    names = [section["name"] for section in sections]
    assert names == ["Result", "Series", "Classes", "Pictures", "Choices", "Speed"]
    assert ids[0] == "result-0"


def test_workspace__series_are_compared_by_mean_and_spread_of_their_groups():
    _, series = _sections()[1][:2]
    settings = [panel["config"] for panel in series["panels"]]
    # the key of a run's config
    assert [(each["groupBy"], each["groupAgg"], each["groupArea"]) for each in settings] == [
        ("group.value", "mean", "stddev"),
        ("group.value", "mean", "stddev"),
    ]
    assert [each["metrics"] for each in settings] == [["val/score"], ["test/score"]]


def test_workspace__classes_of_a_run_have_a_panel_each():
    classes = _sections(["iou/road", "iou/car"])[1][2]
    curves, bars = classes["panels"][:2], classes["panels"][2:]
    assert [panel["config"]["metrics"] for panel in curves] == [["val/iou/road"], ["val/iou/car"]]
    assert [panel["config"]["metrics"] for panel in bars] == [["test/iou/road"], ["test/iou/car"]]


def test_workspace__choices_are_axes_with_short_names():
    _, sections = _sections()
    (parallel,) = [panel for panel in sections[4]["panels"] if panel["viewType"] == "Parallel Coordinates Plot"]
    *axes, result = parallel["config"]["columns"]
    assert [axis["displayName"] for axis in axes] == ["optimizer.lr", "net.encoder"]
    # a learning rate is on a logarithmic axis
    assert [axis.get("log") for axis in axes] == [True, None]
    assert result["accessor"].endswith("best_val_score")
