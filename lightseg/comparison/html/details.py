"""Folded sections: all differences of the groups, the runs, and the method of the intervals."""

from __future__ import annotations

import math
from pathlib import Path

from lightseg.comparison.html.markup import name
from lightseg.comparison.results import Comparison, Group
from lightseg.comparison.text import percent
from lightseg.errors import UserError
from lightseg.metrics.scores import METRICS
from lightseg.runs.read import Run
from lightseg.runs.records import read_record
from lightseg.visualization.html.markup import escape, table


def details(comparison: Comparison) -> str:
    """Three folded parts."""
    parts = (
        ("What differs between the groups", _differences(comparison)),
        ("The runs", _runs(comparison)),
        ("How the intervals were made", _method(comparison)),
    )
    return "".join(f"<details><summary>{title}</summary>{content}</details>" for title, content in parts if content)


def _differences(comparison: Comparison) -> str:
    groups = comparison.groups
    head = [
        '<th scope="col">Key</th>',
        *[f'<th scope="col">{name(comparison, index)}</th>' for index in range(len(groups))],
    ]
    rows = [
        [
            f'<th scope="row"><code>{escape(key)}</code></th>',
            *[f"<td>{escape(group.differs[key])}</td>" for group in groups],
        ]
        for key in groups[0].differs
    ]
    return table("Keys of the config that differ", head, rows) if rows else ""


def _runs(comparison: Comparison) -> str:
    titles = ("Group", "Seed", f"{comparison.metric}, %", "Commit", "Run and command")
    kinds = ("", "number", "number", "", "")
    head = [f'<th scope="col" class="{kind}">{escape(title)}</th>' for title, kind in zip(titles, kinds, strict=True)]
    rows = [row for index, group in enumerate(comparison.groups) for row in _rows(comparison, index, group)]
    return table("The runs", head, rows, "runs")


def _rows(comparison: Comparison, index: int, group: Group) -> list[list[str]]:
    return [
        [
            f'<th scope="row">{name(comparison, index)}</th>',
            f'<td class="number">{trial.seed}{"" if run.fold is None else f", fold {run.fold}"}</td>',
            f'<td class="number">{percent(trial.score if len(trial.runs) == 1 else _of_fold(comparison, run))}</td>',
            f"<td>{_commit(run.folder / 'git.json')}</td>",
            f"<td>{escape(run.folder)}<br><code>{escape(_read(run.folder / 'command.txt'))}</code></td>",
        ]
        for trial in group.trials
        for run in trial.runs
    ]


def _of_fold(comparison: Comparison, run: Run) -> float:
    """Return the score of a run on its own fold; that of its trial is on all folds together."""
    names = (name for name, metric in METRICS[comparison.kind].items() if metric.name == comparison.metric)
    return run.metrics.get(f"{comparison.split}/{next(names)}", math.nan)


def _commit(path: Path) -> str:
    """Return the commit of a run in short, and whether its code was another all the same."""
    try:
        state = read_record(path)
        return f"<code>{escape(state['commit'][:10])}</code>{'<br><small>with changes</small>' * bool(state['dirty'])}"
    # not every folder is a repository
    except (UserError, KeyError, TypeError):
        return "–"


def _read(path: Path) -> str:
    """Return the text of a file; none where it is gone."""
    return path.read_text(errors="replace").strip() if path.is_file() else ""


def _method(comparison: Comparison) -> str:
    """Return how chance was weighed, in two sentences."""
    return (
        f"<p>Paired bootstrap: the {len(comparison.images):,} images are drawn anew with replacement "
        f"{comparison.resamples:,} times, the same for all runs, and everything is scored again on each draw; what "
        "runs of a group differ by beyond that is added as a component of variance, where both groups of a pair have "
        "several. The intervals of all differences hold together, in 95 of 100 comparisons, and so do those of the "
        "differences of all classes (single-step max-t); the interval of a score holds by itself.</p>"
    )
