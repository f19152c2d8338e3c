"""Dense-prediction-transformer head."""

import torch
from torch.nn import functional as F

from lightseg.nets.heads.base import Levels
from lightseg.nets.heads.dpt import DPTHead

LEVELS = Levels((6, 6, 6), (4, 8, 16))


def test_dpt__without_its_convolutions_adds_up_the_levels_from_coarse_to_fine():
    head = DPTHead(2, LEVELS, width=6).eval()
    with torch.no_grad():
        for block in (*head.before, *head.after):
            # the residual of a block is nothing
            block.layers[1][1].weight.zero_(), block.layers[3][1].weight.zero_()
            block.layers[3][1].bias.zero_()
    maps = [torch.randn(1, 6, side, side) for side in (16, 8, 4)]
    levels = head.reassemble(maps)
    middle = levels[1] + F.interpolate(levels[2], scale_factor=2, mode="bilinear")
    finest = levels[0] + F.interpolate(middle, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(head(maps), head.classifier(head.smooth(finest)))


def test_dpt__leaves_the_maps_of_the_encoder_as_they_are():
    maps = [torch.randn(1, 6, side, side) for side in (16, 8, 4)]
    before = [level.clone() for level in maps]
    DPTHead(2, LEVELS, width=4)(maps)
    assert all(torch.equal(*pair) for pair in zip(maps, before, strict=True))
