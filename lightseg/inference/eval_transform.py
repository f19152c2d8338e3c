"""`eval_transforms` of a recipe, made again for images that come from no data module."""

import json
from functools import lru_cache
from typing import Any

from jsonargparse import ArgumentParser

from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import Transform
from lightseg.errors import UserError


def eval_transform_of(recipe: dict[str, Any]) -> EvalTransform | None:
    """Return what an evaluation does to an image first; None if nothing.

    Raises:
        UserError: If a transform cannot be imported any more.
    """
    data = recipe.get("config", {}).get("data") or {}
    transforms = (data.get("init_args") or {}).get("eval_transforms")
    return _made(json.dumps(transforms)) if transforms else None


@lru_cache(maxsize=8)
def _made(text: str) -> EvalTransform:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--eval_transforms", type=list[Transform])
    try:
        parsed = parser.parse_object({"eval_transforms": json.loads(text)})
        return EvalTransform(parser.instantiate(parsed).eval_transforms)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"data.eval_transforms of the recipe cannot be made again: {reason}") from None
