"""Common rows of predictions that are divided in different ways."""

import torch

from lightseg.inference.bands import common_bands


def test_common_bands__cover_the_image_once():
    image = torch.arange(60.0).reshape(1, 6, 10)
    blocks = [(0, 0, image[:, :4, :7]), (0, 7, image[:, :4, 7:]), (4, 0, image[:, 4:, :7]), (4, 7, image[:, 4:, 7:])]
    strips = [(0, 0, image[:, :3]), (3, 0, image[:, 3:5]), (5, 0, image[:, 5:])]
    bands = list(common_bands([iter(blocks), iter(strips)], (6, 10)))
    assert [(top, first.shape[1]) for top, (first, _) in bands] == [(0, 3), (3, 1), (4, 1), (5, 1)]
    for part in (0, 1):
        assert torch.equal(torch.cat([pair[part] for _, pair in bands], 1), image)
