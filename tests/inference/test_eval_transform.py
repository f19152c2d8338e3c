"""Evaluation transforms of a recipe."""

import numpy as np
import pytest

from lightseg.errors import UserError
from lightseg.inference.eval_transform import eval_transform_of

RESIZE = {"class_path": "albumentations.Resize", "init_args": {"height": 4, "width": 6}}


def _recipe(transforms):
    return {"config": {"data": {"init_args": {"eval_transforms": transforms}}}}


@pytest.mark.parametrize("recipe", [{}, {"config": {"data": None}}, _recipe(None), _recipe([])])
def test_eval_transform__there_may_be_none(recipe):
    assert eval_transform_of(recipe, "segmentation") is None


def test_eval_transform__does_what_the_recipe_says():
    transform = eval_transform_of(_recipe([RESIZE]), "segmentation")
    assert transform(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), 0)[0].shape == (4, 6, 3)
    assert eval_transform_of(_recipe([dict(RESIZE)]), "segmentation") is transform


def test_eval_transform__a_class_that_is_gone_is_one_line():
    with pytest.raises(UserError, match=r"^data\.eval_transforms of the recipe cannot be rebuilt: .*Gone") as raised:
        eval_transform_of(_recipe([{"class_path": "albumentations.Gone"}]), "segmentation")
    assert "\n" not in str(raised.value)
