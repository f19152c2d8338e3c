"""CSV and JSON files of a comparison."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from lightseg.comparison.results import Comparison, Estimate, Group, GroupPair
from lightseg.comparison.text import verdicts
from lightseg.files.atomic import write_atomically


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write a row for each group: scores as fractions, cost, differing options, and the score of each class.

    Args:
        comparison: Comparison.
        path: CSV file.
    """
    rows = [
        {
            "group": group.label,
            "n": len(group.trials),
            comparison.metric: group.score.value,
            "deviation": group.deviation,
            "low": group.score.low,
            "high": group.score.high,
            "parameters": group.cost["parameters"],
            "gflops": group.cost["gflops"],
            "input": group.input_size,
            "images_per_s": group.images_per_s,
            "seconds": group.seconds,
            **{f"config/{key}": value for key, value in group.differs.items()},
            **{
                f"{comparison.class_metric}/{name}": score.value
                for name, score in zip(comparison.classes, group.classes, strict=True)
            },
        }
        for group in comparison.groups
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if _is_nan(value) else value for name, value in row.items()} for row in rows)
    write_atomically(path, text.getvalue())


def write_json(comparison: Comparison, path: Path) -> None:
    """Write all results except the counts; scores are fractions, null where undefined.

    Args:
        comparison: Comparison.
        path: JSON file.
    """
    labels = [group.label for group in comparison.groups]
    content = {
        "kind": comparison.kind,
        "split": comparison.split,
        "metric": comparison.metric,
        "class_metric": comparison.class_metric,
        "classes": comparison.classes,
        "absent": comparison.absent,
        "images": len(comparison.images),
        "resamples": comparison.resamples,
        "baseline": None if comparison.baseline is None else labels[comparison.baseline],
        "best": labels[comparison.best],
        "groups": [_group(comparison, group) for group in comparison.groups],
        "pairs": [
            _pair(comparison, pair, verdict)
            for pair, verdict in zip(comparison.pairs, verdicts(comparison), strict=True)
        ],
        "notes": comparison.notes,
    }
    write_atomically(path, json.dumps(_replace_nan(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _group(comparison: Comparison, group: Group) -> dict[str, Any]:
    return {
        "label": group.label,
        "differs": group.differs,
        "n": len(group.trials),
        "score": _estimate(group.score),
        "deviation": group.deviation,
        "classes": {name: _estimate(score) for name, score in zip(comparison.classes, group.classes, strict=True)},
        **group.cost,
        "images_per_s": group.images_per_s,
        "seconds": group.seconds,
        "trials": [
            {
                "runs": [str(run.folder) for run in trial.runs],
                "seed": trial.seed,
                "score": trial.score,
                "classes": dict(zip(comparison.classes, trial.classes.tolist(), strict=True)),
            }
            for trial in group.trials
        ],
    }


def _pair(comparison: Comparison, pair: GroupPair, verdict: str) -> dict[str, Any]:
    return {
        "first": comparison.groups[pair.first].label,
        "second": comparison.groups[pair.second].label,
        "difference": {**_estimate(pair.difference), "p": pair.difference.p},
        "classes": {
            name: {**_estimate(difference), "p": difference.p}
            for name, difference in zip(comparison.classes, pair.classes, strict=True)
        },
        "seeds_in_interval": pair.seeds,
        "words": verdict,
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _replace_nan(content: Any) -> Any:
    """Replace NaN with None, since JSON has no NaN."""
    if isinstance(content, dict):
        return {name: _replace_nan(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_replace_nan(value) for value in content]
    return None if _is_nan(content) else content


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
