"""Reading of safetensors files in the form of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from lightseg.config.plain_data import plain
from lightseg.errors import UserError
from lightseg.files.names import WEIGHTS, WEIGHTS_CONFIG
from lightseg.runs.records import read_mapping


def read(file: Path) -> dict[str, Any]:
    """Return the content of a weights file in the form of a checkpoint.

    Raises:
        UserError: If the file is damaged, or the `config.json` beside it has another recipe.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            texts: dict[str, str] = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - safe_open is no mapping
        recipe = json.loads(texts.get("recipe", "null"))
        temperature = float(texts.get("temperature", 1))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file}: damaged or not a checkpoint ({str(error)[:80]})") from None
    if not isinstance(recipe, dict):
        return {}
    _require_same(file.with_name(WEIGHTS_CONFIG), recipe)
    return {"lightseg": recipe, "state_dict": state, "temperature": temperature}


def _require_same(config: Path, recipe: dict[str, Any]) -> None:
    """Check that the `config.json` beside the weights, if there is one, has the same recipe."""
    if not config.is_file():
        return
    # compared as texts, since NaN is not equal to itself
    expected = json.dumps(plain(recipe, config))
    # the cache of the Hub has links to its files
    if json.dumps(read_mapping(config.resolve()).get("recipe")) != expected:
        raise UserError(
            f"{config}: does not belong to {WEIGHTS} beside it, which has another recipe; bring back the one that was "
            "written with it, or remove it: the weights need none"
        )


def as_texts(metadata: dict[str, Any]) -> dict[str, str]:
    """Return metadata with every value as a string: strings unchanged, others as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
