"""Logits of a resized image, brought to the size of the image itself."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.inference.windows import Block

_BYTES = 2**28


def resized(logits: Tensor, size: tuple[int, int]) -> Iterator[Block]:
    """Bilinear interpolation in blocks of whole rows, of 256 MB each.

    What fits into one block is interpolated exactly as an evaluation does it; otherwise it agrees to rounding.

    Args:
        logits: `(K, h, w)` float32.
        size: Height and width wanted.

    Yields:
        Top, left, and logits `(K, rows, W)`, from top to bottom.
    """
    height, width = size
    rows = max(1, _BYTES // (4 * len(logits) * width))
    if rows >= height:
        yield 0, 0, F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
        return
    for top in range(0, height, rows):
        at = torch.arange(top, min(top + rows, height), device=logits.device, dtype=torch.float64)
        at = ((at + 0.5) * (logits.shape[1] / height) - 0.5).clamp(min=0)
        above = at.long()
        below, share = (above + 1).clamp(max=logits.shape[1] - 1), (at - above).float()[:, None]
        mixed = logits[:, above].lerp(logits[:, below], share)
        yield top, 0, F.interpolate(mixed[None], (len(at), width), mode="bilinear", align_corners=False)[0]
