"""Schema of the recipe in a checkpoint: limits of transforms, and the older form of image values."""

import pytest
from pydantic import ValidationError

from lightseg.config.recipe_schema import DataOptions, Recipe

RECIPE = {
    "format_version": 1,
    "classes": ["a"],
    "in_channels": 1,
    "palette": [[0, 0, 0]],
    "resolved": {},
    "config": {"model": {"class_path": "Task", "init_args": {"net": {"class_path": "Net"}}}},
}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 2**14, "width": 2**12}, None),
        ({"height": 2**14, "width": 2**13}, "an image has up to 67108864 pixels"),
        ({"transforms": [{"init_args": {"max_size": [1, 2**14 + 1]}}]}, "max_size is a number up to 16384"),
        ({"max_size": "large"}, "max_size is a number up to 16384"),
    ],
)
def test_data_options__images_of_transforms_have_limited_sizes(options, message):
    data = {"eval_transforms": [{"class_path": "Resize", "init_args": options}]}
    if message is None:
        DataOptions.model_validate(data)
    else:
        with pytest.raises(ValidationError, match=message):
            DataOptions.model_validate(data)


def test_recipe__reads_image_values_of_the_first_version():
    values = Recipe.model_validate({**RECIPE, "image_values": [0.0, 255.0, None]}).image_values
    assert (values.ranges, values.nodata) == ([[0, 255]], None)
