"""Origin of a run that started from trained weights."""

from collections.abc import Mapping
from typing import Any

_DIGITS = 8
"""Digits of a fingerprint that are shown."""


def name_origin(config: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in which the file of `model.init` is replaced by the name and the fingerprint of its content.

    Two runs then differ by the weights that they started from, and not by the path to these.

    Args:
        config: Resolved config of the run.
        cost: `model.json` of the run.
    """
    record, model = cost.get("init"), config.get("model") or {}
    if not record:
        return dict(config)
    text = f"{record['run']} ({record['file']}, {record['sha256'][:_DIGITS]})"
    return {**config, "model": {**model, "init_args": {**(model.get("init_args") or {}), "init": text}}}
