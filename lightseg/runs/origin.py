"""Origin of a run that started from trained weights, or from the last state of another run."""

from collections.abc import Mapping
from typing import Any

_DIGITS = 8
"""Digits of a fingerprint that are shown."""


def name_origin(config: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in which the files of `model.init` and `extend` are replaced by what they stand for.

    Of `model.init`, this is the name and the fingerprint of the weights, so that two runs differ by these and not by
    the path to them. Of `extend`, it is the epoch, since the recipe is that of the run before.

    Args:
        config: Resolved config of the run.
        cost: `model.json` of the run.
    """
    named, model = dict(config), config.get("model") or {}
    if record := cost.get("init"):
        text = f"{record['run']} ({record['file']}, {record['sha256'][:_DIGITS]})"
        named["model"] = {**model, "init_args": {**(model.get("init_args") or {}), "init": text}}
    if record := cost.get("extend"):
        named["extend"] = f"after epoch {record['epoch']}, step {record['step']}"
    return named
