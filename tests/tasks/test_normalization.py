"""Mean and standard deviation of the channels."""

import math

import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.tasks.normalization import check_scale, normalized, to_list, to_tensor


def test_to_tensor_and_back():
    assert to_tensor([0.25, 0.5]).shape == (1, 2, 1, 1)
    assert to_list(to_tensor([0.25, 0.5])) == [0.25, 0.5]
    assert to_tensor(None) is to_list(None) is None


def test_normalized__bytes_and_floats_alike_and_the_input_is_kept():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    mean, std = to_tensor([0.2]), to_tensor([0.4])
    for images in (pixels, pixels.float() / 255):
        before = images.clone()
        assert torch.allclose(normalized(images, mean, std).flatten(), torch.tensor([-0.5, 0.0, 2.0]), atol=1e-6)
        assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5, math.nan], None, r"^model\.mean: must be finite numbers, got \[0\.5, nan\]$"),
        (None, [math.inf], r"^model\.std: must be finite numbers"),
        ([123.7], [0.2], r"^model\.mean: 0\.\.1 scale, please; \[123\.7\] looks like 0\.\.255: divide by 255$"),
        ([0.5], [-0.1], r"^model\.std: 0\.\.1 scale"),
    ],
)
def test_check_scale__refuses_other_scales(mean, std, message):
    check_scale(None, None)
    check_scale([0.0, 1.0], [0.5, 1.0])
    with pytest.raises(ConfigError, match=message):
        check_scale(mean, std)
