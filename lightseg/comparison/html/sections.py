"""Sections of the page that show what the comparison contains."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from lightseg.comparison.results import Comparison, Estimate, Group
from lightseg.comparison.text import (
    describe_absences,
    fold_scores,
    fold_spread,
    interval,
    labels_have_options,
    reading,
    verdicts,
)
from lightseg.errors import UserError
from lightseg.files.limited import read_limited, require_inside
from lightseg.metrics.formatting import format_p_value, percent
from lightseg.metrics.scores import METRICS, Integers
from lightseg.runs.read import Run
from lightseg.runs.records import read_record
from lightseg.visualization.html import render

_TABLE_BYTES, _COMMAND_BYTES = 2**26, 2**20
"""Limits of the size of a confusion matrix and of a command line, in bytes."""


def ranking(comparison: Comparison) -> Markup:
    """Render the verdicts in words, the groups by score, and notes on reading them."""
    reference = comparison.best if comparison.baseline is None else comparison.baseline
    low, high = _score_range(comparison)
    return render_section(
        "ranking",
        comparison,
        verdicts=verdicts(comparison),
        reference=comparison.short_names[reference],
        differences=[_difference(comparison, index, reference) for index in range(len(comparison.groups))],
        low=low,
        high=high,
        format_count=_format_count,
        labels_have_options=labels_have_options(comparison),
        has_folds=any(len(group.folds) > 1 for group in comparison.groups),
        fold_scores=fold_scores,
        fold_spread=fold_spread,
        reading=" ".join(reading(comparison)),
    )


def classes(comparison: Comparison) -> Markup:
    """Render one row for each class: bars with intervals, the numbers, and the differences that are shown.

    Classes that are absent from the truth are named below.
    """
    return render_section("classes", comparison, absences=describe_absences(comparison))


def matrices(comparison: Comparison) -> Markup:
    """Render the confusion matrices side by side; in place of one whose file is unreadable, the reason."""
    return render_section(
        "matrices",
        comparison,
        unit="pixels" if comparison.kind == "segmentation" else "images",
        counts=[_sum_counts(group, comparison.split, len(comparison.classes)) for group in comparison.groups],
    )


def details(comparison: Comparison) -> Markup:
    """Render the differences of the configs, the runs, and the method of the intervals, folded."""
    return render_section("details", comparison, fold_score=_fold_score, commit=_commit, command=_command)


def render_section(name: str, comparison: Comparison, **values: Any) -> Markup:
    """Render the template of a section.

    Args:
        name: Name of the template.
        comparison: Comparison of groups.
        **values: Further variables of the template, beside the formats of numbers.
    """
    formats = {"percent": percent, "interval": interval, "format_p_value": format_p_value, "number": format_number}
    return render(f"comparison/html/{name}.html", comparison=comparison, **formats, **values)


def format_number(value: float, digits: int = 3) -> str:
    """Format a number with some significant digits and a thousands separator; `–` where it is not finite."""
    if not math.isfinite(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def _format_count(count: float) -> str:
    """Format a number of parameters as in papers: `1.9 M`."""
    if count >= 1_000_000:
        return f"{format_number(count / 1_000_000)} M"
    return f"{format_number(count / 1000)} k" if count >= 1000 else format_number(count, 1)


def _difference(comparison: Comparison, index: int, reference: int) -> Estimate | None:
    """Return the difference of a group to the reference; None if the two were not compared."""
    for pair in comparison.pairs:
        if (pair.first, pair.second) == (index, reference):
            return pair.difference
        if (pair.second, pair.first) == (index, reference):
            difference = pair.difference
            return Estimate(-difference.value, -difference.high, -difference.low, difference.p)
    return None


def _score_range(comparison: Comparison) -> tuple[float, float]:
    """Return a range of scores that contains all intervals, with a margin."""
    scores = [group.score for group in comparison.groups]
    ends = [end for score in scores for end in (score.low, score.value, score.high) if not math.isnan(end)]
    if not ends:
        return 0.0, 1.0
    margin = 0.05 * (max(ends) - min(ends))
    return max(0.0, min(ends) - margin), min(1.0, max(ends) + margin)


def _sum_counts(group: Group, split: str, classes: int) -> Integers | str:
    """Return the sum over the runs of a group, int64 `(C, C)`, or a message about an unreadable file."""
    total: Integers = np.zeros((classes, classes), np.int64)
    for run in group.runs:
        path = run.folder / f"confusion_{split}.csv"
        try:
            require_inside(path)
            text = io.StringIO(read_limited(path, _TABLE_BYTES))
            total += np.loadtxt(text, np.int64, delimiter=",", skiprows=1).reshape(classes, classes)
        except UserError as error:
            return str(error)
        except OSError:
            return f"{path} is missing."
        except ValueError:
            return f"{path} is damaged."
    return total


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


def _command(run: Run) -> str:
    """Return the command line of a run; in place of an unreadable one the reason, empty where it is missing."""
    path = run.folder / "command.txt"
    try:
        require_inside(path)
        return read_limited(path, _COMMAND_BYTES, errors="replace").strip()
    except FileNotFoundError:
        return ""
    except UserError as error:
        return str(error)
