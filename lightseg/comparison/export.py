"""Comparison as files for other programs."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from lightseg.comparison.results import Comparison, Estimate, Group, Pair
from lightseg.comparison.text import verdicts
from lightseg.files.atomic import write_atomically


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write one row per group: its scores as shares, what it costs, what differs, and the score of each class."""
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
    writer.writerows({name: "" if _undefined(value) else value for name, value in row.items()} for row in rows)
    write_atomically(path, text.getvalue())


def write_json(comparison: Comparison, path: Path) -> None:
    """Write everything that was computed but the counts; scores are shares, and null where undefined."""
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
            _pair(comparison, pair, words) for pair, words in zip(comparison.pairs, verdicts(comparison), strict=True)
        ],
        "notes": comparison.notes,
    }
    write_atomically(path, json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


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


def _pair(comparison: Comparison, pair: Pair, words: str) -> dict[str, Any]:
    return {
        "first": comparison.groups[pair.first].label,
        "second": comparison.groups[pair.second].label,
        "difference": {**_estimate(pair.difference), "p": pair.difference.p},
        "classes": {
            name: {**_estimate(each), "p": each.p} for name, each in zip(comparison.classes, pair.classes, strict=True)
        },
        "seeds_in_interval": pair.seeds,
        "words": words,
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _plain(content: Any) -> Any:
    """Return the same with null for what is undefined: JSON has no NaN."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return None if _undefined(content) else content


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
