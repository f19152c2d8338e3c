"""Evaluation transforms of a recipe, rebuilt for images that come from no data module."""

import json
from functools import lru_cache
from typing import Any

from jsonargparse import ArgumentParser

from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import Kind, Transform
from lightseg.errors import UserError


def eval_transform_of(recipe: dict[str, Any], kind: Kind) -> EvalTransform | None:
    """Return the transform that an evaluation applies to an image first; None if there is none.

    Args:
        recipe: The recipe of a checkpoint.
        kind: Kind of its task.

    Raises:
        UserError: If a transform can no longer be imported.
    """
    data = recipe.get("config", {}).get("data") or {}
    transforms = (data.get("init_args") or {}).get("eval_transforms")
    return _build(json.dumps(transforms), kind) if transforms else None


@lru_cache(maxsize=8)
def _build(transforms_json: str, kind: Kind) -> EvalTransform:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--eval_transforms", type=list[Transform])
    try:
        config = parser.parse_object({"eval_transforms": json.loads(transforms_json)})
        return EvalTransform(parser.instantiate(config).eval_transforms, kind)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"data.eval_transforms of the recipe cannot be rebuilt: {reason}") from None
