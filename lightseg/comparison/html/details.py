"""Folded details: the differences of the configs, the runs, and the method of the intervals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lightseg.comparison.html.groups import group_names
from lightseg.comparison.results import Comparison
from lightseg.comparison.text import percent
from lightseg.errors import UserError
from lightseg.metrics.scores import METRICS
from lightseg.runs.read import Run
from lightseg.runs.records import read_record
from lightseg.visualization.html import render


def details(comparison: Comparison) -> Markup:
    """Render three folded parts."""
    groups = comparison.groups
    return render(
        "comparison/html/details.html",
        groups=group_names(comparison),
        differences=[(key, [group.differs[key] for group in groups]) for key in groups[0].differs],
        metric=comparison.metric,
        runs=_runs(comparison),
        images=f"{len(comparison.images):,}",
        resamples=f"{comparison.resamples:,}",
    )


def _runs(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "group": name,
            "seed": trial.seed,
            "fold": run.fold,
            "score": percent(trial.score if len(trial.runs) == 1 else _fold_score(comparison, run)),
            "commit": _commit(run.folder / "git.json"),
            "folder": run.folder,
            "command": _read_text(run.folder / "command.txt"),
        }
        for name, group in zip(group_names(comparison), comparison.groups, strict=True)
        for trial in group.trials
        for run in trial.runs
    ]


def _fold_score(comparison: Comparison, run: Run) -> float:
    """Return the score of a run on its fold; that of its trial is on all folds together."""
    names = (name for name, metric in METRICS[comparison.kind].items() if metric.name == comparison.metric)
    return run.metrics.get(f"{comparison.split}/{next(names)}", math.nan)


def _commit(path: Path) -> tuple[str, bool] | None:
    """Return the abbreviated commit of a run and whether its code had uncommitted changes; None where unknown."""
    try:
        state = read_record(path)
        return state["commit"][:10], bool(state["dirty"])
    # not every folder is a repository
    except (UserError, KeyError, TypeError):
        return None


def _read_text(path: Path) -> str:
    """Return the text of a file; empty where it is missing."""
    return path.read_text(errors="replace").strip() if path.is_file() else ""
