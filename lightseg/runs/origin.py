"""Trained models that a run started from, or learned from."""

from collections.abc import Mapping
from typing import Any

_DIGITS = 8
"""Digits of a fingerprint that are shown."""


def name_origin(config: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in which the files of `model.init` and `model.teacher` are replaced by names and fingerprints.

    Two runs then differ by the content of these files, and not by the paths to them.

    Args:
        config: Resolved config of the run.
        cost: `model.json` of the run.
    """
    init, teacher = cost.get("init"), cost.get("teacher")
    records = {"init": [init] if init else [], "teacher": teacher["members"] if teacher else []}
    names = {option: " + ".join(map(describe_origin, files)) for option, files in records.items() if files}
    if not names:
        return dict(config)
    model = config.get("model") or {}
    return {**config, "model": {**model, "init_args": {**(model.get("init_args") or {}), **names}}}


def describe_origin(record: Mapping[str, Any]) -> str:
    """Return name and fingerprint of a trained model from its record."""
    return f"{record['run']} ({record['file']}, {record['sha256'][:_DIGITS]})"
