"""W&B workspace for the runs of a project: its panels of logged numbers and pictures.

The panels refer to logged values by name; a test checks that a run logs all of them.
"""

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.reports.v2.interface import PanelTypes

from lightseg.tracking.rows import BEST, STEP

PER_CLASS = "val/(iou|f1|recall)/.+"


def workspace(
    project: str, entity: str, scores: Sequence[str], choices: Sequence[str], baseline: str | None = None
) -> ws.Workspace:
    """Return a new workspace without saving it.

    Args:
        project: W&B project.
        entity: Its user or team.
        scores: Names of the scores by class, such as `iou/road`; if empty, a pattern that matches those of the runs.
        choices: Keys of the runs' configs, such as `data.init_args.batch_size`, to plot against the best score.
        baseline: W&B id of the run to compare the others with.
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name="lightseg",
        sections=[
            _section("Result", _result(), columns=3),
            _section("Series", _series(), columns=2),
            _section("Classes", _each_class(scores) if scores else _all_classes(), columns=4),
            _section("Pictures", _pictures(), columns=2),
            _section("Choices", _choices(choices), columns=2),
            _section("Speed", _speed(), columns=3),
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=20, tooltip_number_of_runs="all_runs"),
        runset_settings=ws.RunsetSettings(
            order=[ws.Ordering(ws.Summary(BEST), ascending=False)],
            pinned_columns=["run:displayName", f"summary:{BEST}", "summary:test/score"],
            baseline_run=baseline,
        ),
    )


def spec(workspace_model: ws.Workspace) -> dict[str, Any]:
    """Return the plain data of a workspace, as it is sent to W&B, with numbers for the random ids of its panels."""
    # the package has no public method for it
    content: dict[str, Any] = workspace_model._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    for section in content["spec"]["section"]["panelBankConfig"]["sections"]:
        for number, panel in enumerate(section["panels"]):
            panel["__id__"] = f"{section['name'].lower()}-{number}"
    return content


def _section(name: str, panels: Sequence[Any], columns: int) -> ws.Section:
    layout = ws.SectionLayoutSettings(columns=columns, rows=2)
    return ws.Section(name=name, panels=list(panels), is_open=True, layout_settings=layout)


def _result() -> list[PanelTypes]:
    return [
        wr.LinePlot(title="score on val", x=STEP, y=["val/score"], range_y=(0, 1)),
        wr.BarPlot(title="best score on val", metrics=[BEST], range_x=(0, 1)),
        wr.BarPlot(title="score on test", metrics=["test/score"], range_x=(0, 1)),
        wr.LinePlot(title="loss in training", x=STEP, y=["train/loss"]),
        wr.LinePlot(title="loss on val", x=STEP, y=["val/loss"]),
    ]


def _series() -> list[PanelTypes]:
    # the runs of a series share a group; one by itself is in that of its experiment
    by_group: dict[str, Any] = {"groupby": "group", "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    return [
        wr.LinePlot(title="score on val, mean of each group", x=STEP, y=["val/score"], range_y=(0, 1), **by_group),
        wr.BarPlot(title="score on test, mean of each group", metrics=["test/score"], range_x=(0, 1), **by_group),
    ]


def _each_class(scores: Sequence[str]) -> list[PanelTypes]:
    # one panel per class, since the lines of all classes and runs would be indistinguishable in one
    lines = [wr.LinePlot(title=f"{name} on val", x=STEP, y=[f"val/{name}"], range_y=(0, 1)) for name in scores]
    return [
        *lines,
        *(wr.BarPlot(title=f"{name} on test", metrics=[f"test/{name}"], range_x=(0, 1)) for name in scores),
    ]


def _all_classes() -> list[PanelTypes]:
    return [
        wr.LinePlot(title="classes on val", x=STEP, metric_regex=f"^{PER_CLASS}$", range_y=(0, 1)),
        _chart("test/per_class", "wandb/bar/v0", {"label": "class", "value": "iou"}),
    ]


def _pictures() -> list[PanelTypes]:
    cells = {name: name for name in ("Actual", "Predicted", "nPredictions")}
    return [
        wr.MediaBrowser(title="the same val images", media_keys=["val/samples"], num_columns=4),
        _chart("test/confusion_matrix", "wandb/confusion_matrix/v1", cells),
        wr.WeavePanelSummaryTable(table_name="test/worst"),
    ]


def _chart(key: str, name: str, fields: dict[str, str]) -> wr.CustomChart:
    """Return the panel of a `wandb.plot_table`, whose numbers are in a table of their own."""
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": f"{key}_table"}},
        chart_name=name,
        chart_fields=fields,
        chart_strings={"title": key},
    )


def _choices(choices: Sequence[str]) -> list[PanelTypes]:
    axis = wr.ParallelCoordinatesPlotColumn
    axes = [axis(metric=wr.Config(key), display_name=_short(key), log=key.endswith(".lr") or None) for key in choices]
    return [
        wr.ParallelCoordinatesPlot(title="choices and score", columns=[*axes, axis(metric=wr.SummaryMetric(BEST))]),
        wr.ParameterImportancePlot(with_respect_to=BEST),
        wr.RunComparer(diff_only="split"),
    ]


def _short(key: str) -> str:
    """Return the short form of a key: `net.encoder` for `model.init_args.net.init_args.encoder`."""
    return ".".join(part for part in key.split(".")[1:] if part not in ("init_args", "class_path"))


def _speed() -> list[PanelTypes]:
    return [
        wr.LinePlot(title="training images per second", x=STEP, y=["train/images_per_s"]),
        wr.BarPlot(title="seconds of training", metrics=["train/seconds"]),
        wr.LinePlot(title="learning rates", x=STEP, metric_regex="^lr-.+$", log_y=True),
    ]
