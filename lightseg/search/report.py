"""Report of a search: its trials, and the score of the winner in the selection and on fresh seeds."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from lightseg.comparison.analysis import compare
from lightseg.comparison.results import Comparison, Estimate
from lightseg.comparison.text import interval
from lightseg.files.atomic import write_atomically, write_json
from lightseg.files.printable import align_columns, format_count, printable, warn
from lightseg.metrics.formatting import percent
from lightseg.runs.read import Run, read
from lightseg.runs.series import Series
from lightseg.search.space import as_options
from lightseg.search.trials import REPORT, Search

_LISTED = 30
"""Limit of the trials in the table; the record has all."""

_FAILURES = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_COSTS = {"flops": "GFLOPs", "parameters": "parameters", "latency": "latency ms"}


@dataclass(frozen=True)
class Report:
    """Result of a search.

    Attributes:
        search: The search.
        winner: Number of the winner.
        front: Numbers of the trials that no other one beats in all objectives.
        metric: Name of the score.
        selection: Score on `val` for which the winner was selected, with an interval over the images.
        retraining: Mean score on `val` of the winner on fresh seeds, with an interval over images and seeds.
        test: Likewise on `test`; None where there is no such split.
        deviations: Standard deviation of the scores over the seeds, on `val` and on `test`.
        runs: Runs of the winner on fresh seeds.
    """

    search: Search
    winner: int
    front: list[int]
    metric: str
    selection: Estimate
    retraining: Estimate
    test: Estimate | None
    deviations: dict[str, float]
    runs: tuple[Run, ...]


def make_report(search: Search, series: Series) -> Report:
    """Score the winner as it was selected, and as it was trained again.

    Args:
        search: A search with a finished trial.
        series: The finished runs of its winner on fresh seeds.

    Raises:
        UserError: If a file of a run is damaged.
    """
    winner = search.winner()
    assert winner is not None
    runs = tuple(read(folder) for folder in series.run_folders)
    selection = compare([read(search.run_folders[winner])], split="val")
    splits = ["val", *["test"] * all("test/score" in run.metrics for run in runs)]
    results = {split: compare(runs, split=split) for split in splits}
    return Report(
        search,
        winner,
        search.front(),
        selection.metric,
        _score(selection),
        _score(results["val"]),
        _score(results["test"]) if "test" in results else None,
        {split: result.groups[0].deviation for split, result in results.items()},
        runs,
    )


def write_report(report: Report) -> str:
    """Write `report.json`, `report.txt` and, with two objectives or more, a picture for each; return the text."""
    folder = report.search.folder
    text = as_text(report)
    write_atomically(folder / "report.txt", f"{text}\n")
    for index, name in enumerate(report.search.plan.study.objective[1:], 1):
        _draw_front(report, index, name)
    # the search is finished once it is there
    write_json(folder / REPORT, _as_record(report))
    return text


def show_in_wandb(report: Report) -> None:
    """Show the search in W&B if its trials are there; a failure is a warning."""
    from lightseg.tracking.wandb_search import show_search
    from lightseg.tracking.wandb_service import describe_error

    search, plan = report.search, report.search.plan
    try:
        mode = show_search(search.folder, search.run_folders[report.winner], plan.group, plan.study.model_dump())
    except Exception as error:  # the client's errors have no common base class
        warn(f"W&B has not taken the search: {describe_error(error)}")
    else:
        if mode == "offline":
            print(printable(f"W&B: offline; afterwards: wandb sync {search.folder}/wandb/offline-run-*"))


def as_text(report: Report) -> str:
    """Return the table of the trials and the scores of the winner as text."""
    return "\n".join([*_describe_trials(report), "", *_describe_winner(report)])


def _describe_trials(report: Report) -> list[str]:
    """Return the lines on the trials, best score first."""
    search, trials = report.search, report.search.trials
    names, keys = search.plan.study.objective, list(search.plan.study.space)
    finished = sorted(search.with_state(TrialState.COMPLETE), key=lambda number: (-trials[number].values[0], number))
    counts = {"finished": len(finished)}
    counts |= {text: len(search.with_state(state)) for text, state in _FAILURES.items()}
    marked = set(report.front) if len(names) > 1 else {report.winner}
    header = ["trial", f"val {report.metric} %", *(_COSTS[name] for name in names[1:])]
    rows = [
        [*header, *(key.rpartition(".")[2] for key in keys)],
        *([f"{number}{' ★' * (number in marked)}", *_cells(trials[number], keys)] for number in finished[:_LISTED]),
    ]
    states = ", ".join(f"{count} {text}" for text, count in counts.items() if count)
    lines = [f"trials: {states}", "", *align_columns(rows)]
    if len(finished) > _LISTED:
        lines.append(f"and {len(finished) - _LISTED} more, in {REPORT}")
    if len(names) > 1:
        lines.append("★ Pareto front: no other trial is as good in all objectives and better in one")
    return lines


def _describe_winner(report: Report) -> list[str]:
    """Return the lines on the score of the winner, as it was selected and as it was trained again."""
    search = report.search
    seeds, finished = ", ".join(str(run.seed) for run in report.runs), len(search.with_state(TrialState.COMPLETE))
    rows = [
        ["", f"{report.metric} %", "95 % interval"],
        ["selection, on val", percent(report.selection.value), interval(report.selection)],
        ["fresh seeds, on val", _mean(report.retraining, report.deviations["val"]), interval(report.retraining)],
    ]
    if report.test:
        rows.append(["fresh seeds, on test", _mean(report.test, report.deviations["test"]), interval(report.test)])
    change = percent(report.retraining.value - report.selection.value, sign=True)
    return [
        f"winner: {search.label(report.winner)}, trained again on the seeds {seeds}",
        *align_columns(rows),
        f"From the selection to fresh seeds, the score on val changes by {change} points.",
        f"The best of {format_count(finished, 'trial')} is in part the luckiest; report the fresh seeds"
        + (", on test." if report.test else "."),
    ]


def _score(comparison: Comparison) -> Estimate:
    (group,) = comparison.groups
    return group.score


def _mean(score: Estimate, deviation: float) -> str:
    return percent(score.value) + ("" if math.isnan(deviation) else f" ± {percent(deviation)}")


def _cells(trial: FrozenTrial, keys: Sequence[str]) -> list[str]:
    """Return score, costs and values of a trial as texts."""
    score, *costs = trial.values
    values = [trial.params[key] for key in keys]
    return [
        percent(score),
        *(f"{cost:,.0f}" if cost >= 1000 else f"{cost:.3g}" for cost in costs),
        *(f"{value:.3g}" if isinstance(value, float) else str(value) for value in values),
    ]


def _draw_front(report: Report, index: int, name: str) -> None:
    """Draw the trials by score and one cost."""
    from lightseg.visualization.figures import pareto_front

    search = report.search
    numbers = search.with_state(TrialState.COMPLETE)
    values = np.array([[search.trials[number].values[place] for place in (index, 0)] for number in numbers])
    values[:, 1] *= 100
    front = _front_of(values)
    labels = [f"trial {numbers[place]}" for place in front]
    pareto_front(values, front, labels, (_COSTS[name], f"val {report.metric} %"), search.folder / f"pareto_{name}.png")


def _front_of(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Return the indices of the points `(T, 2)` of cost and score that no other one beats."""
    front, best = list[int](), -math.inf
    for index in sorted(range(len(values)), key=lambda place: (values[place, 0], -values[place, 1], place)):
        if values[index, 1] > best:
            front.append(index)
            best = values[index, 1]
    return front


def _as_record(report: Report) -> dict[str, Any]:
    search = report.search
    names = search.plan.study.objective
    return {
        "objective": names,
        "metric": report.metric,
        "trials": [
            {
                "number": trial.number,
                "run": search.run_folders[trial.number].name,
                "state": trial.state.name.lower(),
                "options": as_options(trial.params),
                "values": dict(zip(names, trial.values, strict=True)) if trial.state == TrialState.COMPLETE else None,
            }
            for trial in search.trials
        ],
        "front": report.front,
        "winner": {
            "trial": report.winner,
            "seeds": [run.seed for run in report.runs],
            "runs": [run.folder.name for run in report.runs],
            "selection": {"val": _as_interval(report.selection)},
            "retraining": {
                split: {**_as_interval(score), "deviation": _plain(report.deviations[split])}
                for split, score in (("val", report.retraining), ("test", report.test))
                if score
            },
        },
    }


def _as_interval(score: Estimate) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in asdict(score).items() if name != "p"}


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
