"""Images of every form as sources of pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from lightseg.errors import DataError
from lightseg.inference.image_input import as_source

GRAY = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize(
    "image", [GRAY, GRAY[..., None], torch.from_numpy(GRAY)[None], Image.fromarray(GRAY)], ids=["2d", "3d", "t", "pil"]
)
def test_as_source__gray_is_repeated_for_three_channels(image):
    source = as_source(image, 3)
    assert source.size == (2, 3)
    image = source.to_array()
    assert all((image[..., channel] == GRAY).all() for channel in range(3))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 3, 2), np.uint8), "has 2 channels, but the net takes 3"),
        (np.zeros((0, 3), np.uint8), r"has the shape \(0, 3\)"),
        (np.zeros((1, 2, 3, 3), np.uint8), r"as an array it is \(H, W\)"),
        (torch.zeros(2, 3), r"as a tensor it is \(C, H, W\)"),
        ([[1, 2]], "not a list"),
    ],
)
def test_as_source__invalid(image, message):
    with pytest.raises(DataError, match=message):
        as_source(image, 3)
