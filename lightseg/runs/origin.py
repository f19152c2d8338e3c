"""Trained models that a run started from, went on from, or learned from."""

from collections.abc import Mapping
from typing import Any

_DIGITS = 8
"""Digits of a fingerprint that are shown."""


def name_origin(config: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in which files of trained models are replaced by what they stand for.

    Of `model.init` and `model.teacher`, these are names and fingerprints, so that two runs differ by the content of the
    files and not by the paths to them. Of `extend`, it is the epoch, since the recipe is that of the run before.

    Args:
        config: Resolved config of the run.
        cost: `model.json` of the run.
    """
    result, init, teacher = dict(config), cost.get("init"), cost.get("teacher")
    records = {"init": [init] if init else [], "teacher": teacher["members"] if teacher else []}
    names = {option: " + ".join(map(describe_origin, files)) for option, files in records.items() if files}
    if names:
        model = config.get("model") or {}
        result["model"] = {**model, "init_args": {**(model.get("init_args") or {}), **names}}
    if record := cost.get("extend"):
        result["extend"] = f"after epoch {record['epoch']}, step {record['step']}"
    return result


def describe_origin(record: Mapping[str, Any]) -> str:
    """Return name and fingerprint of a trained model from its record."""
    return f"{record['run']} ({record['file']}, {record['sha256'][:_DIGITS]})"
