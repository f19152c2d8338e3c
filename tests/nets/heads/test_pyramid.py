import torch
from torch.nn import functional as F

from lightseg.nets.heads.base import Levels
from lightseg.nets.heads.pyramid import Pyramid, top_down


def test_pyramid__of_a_plain_transformer_has_four_sizes():
    plain = Levels((6,) * 4, (16,) * 4)
    maps = [torch.full((1, 6, 3, 5), float(index)) for index in range(4)]
    for from_last in (False, True):
        pyramid = Pyramid(plain, 4, from_last).eval()
        assert [tuple(level.shape) for level in pyramid(maps)] == [
            (1, 4, 12, 20),
            (1, 4, 6, 10),
            (1, 4, 3, 5),
            (1, 4, 2, 3),
        ]
        assert pyramid.sources == ([3, 3, 3, 3] if from_last else [0, 1, 2, 3])
    assert Pyramid(Levels((6, 6), (16, 16)), 4).sources == [0, 0, 1, 1]


def test_top_down__adds_all_coarser_maps():
    maps = [torch.ones(1, 1, 8, 8), 10 * torch.ones(1, 1, 4, 4), 100 * torch.ones(1, 1, 2, 2)]
    assert [float(level.mean()) for level in top_down(maps)] == [111, 110, 100]
    ramp = torch.arange(4.0).reshape(1, 1, 1, 4)
    finer = top_down([torch.zeros(1, 1, 1, 8), ramp])[0]
    torch.testing.assert_close(finer, F.interpolate(ramp, size=(1, 8), mode="bilinear", align_corners=False))
