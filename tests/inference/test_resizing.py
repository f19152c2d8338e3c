"""Resizing of logits in blocks."""

import torch
from torch.nn import functional as F

from lightseg.inference import resizing


def test_resize_in_blocks__equals_one_interpolation(monkeypatch):
    logits = torch.randn(3, 24, 48)
    for size in ((37, 61), (96, 50), (11, 20)):
        expected = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
        monkeypatch.setattr(resizing, "_BYTES", 2**28)
        ((_, _, block),) = resizing.resize_in_blocks(logits, size)
        assert torch.equal(block, expected)
        monkeypatch.setattr(resizing, "_BYTES", 4 * 3 * size[1] * 5)
        blocks = list(resizing.resize_in_blocks(logits, size))
        assert len(blocks) > 1
        assert torch.allclose(torch.cat([block for _, _, block in blocks], 1), expected, atol=1e-5)
