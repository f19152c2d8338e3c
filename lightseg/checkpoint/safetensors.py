"""Weights as safetensors, which hold tensors and texts alone, read in the form of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from lightseg.config.schema import plain
from lightseg.errors import UserError
from lightseg.files.names import WEIGHTS, WEIGHTS_CONFIG
from lightseg.runs.records import read_mapping


def read(file: Path) -> dict[str, Any]:
    """Return the content of a weights file, in the form of a checkpoint.

    Raises:
        UserError: If it is damaged, or the `config.json` beside it is another's.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            texts: dict[str, str] = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
        recipe = json.loads(texts.get("recipe", "null"))
        temperature = float(texts.get("temperature", 1))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file}: damaged or not a checkpoint ({str(error)[:80]})") from None
    if not isinstance(recipe, dict):
        return {}
    _require_same(file.with_name(WEIGHTS_CONFIG), recipe)
    return {"lightseg": recipe, "state_dict": state, "temperature": temperature}


def _require_same(config: Path, recipe: dict[str, Any]) -> None:
    """See that nobody takes a `config.json` that has been changed, or is another model's, for this one's."""
    if not config.is_file():
        return
    # as texts, in which what is no number is equal to itself
    beside, recipe_text = (json.dumps(part) for part in (read_mapping(config).get("recipe"), plain(recipe, config)))
    if beside != recipe_text:
        raise UserError(
            f"{config}: does not belong to {WEIGHTS} beside it, which has another recipe; bring back the one that was "
            "written with it, or remove it: the weights need none"
        )


def as_texts(facts: dict[str, Any]) -> dict[str, str]:
    """Return the facts for a format whose metadata are texts: JSON, but for what is a text already."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
