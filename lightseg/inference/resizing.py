"""Resizing of logits to the size of their image, in blocks of rows."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.inference.windows import Block

_BYTES = 2**28
"""Bytes of logits in one block."""


def resize_in_blocks(logits: Tensor, size: tuple[int, int]) -> Iterator[Block]:
    """Interpolate logits bilinearly, in blocks of whole rows of 256 MB each.

    Logits that fit into one block are interpolated exactly as in an evaluation; otherwise they agree to rounding.

    Args:
        logits: `(K, h, w)` float32.
        size: Height and width of the result.

    Yields:
        Top, left, and logits `(K, rows, W)`, from top to bottom.
    """
    height, width = size
    rows = max(1, _BYTES // (4 * len(logits) * width))
    if rows >= height:
        yield 0, 0, F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
        return
    for top in range(0, height, rows):
        positions = torch.arange(top, min(top + rows, height), device=logits.device, dtype=torch.float64)
        positions = ((positions + 0.5) * (logits.shape[1] / height) - 0.5).clamp(min=0)
        above = positions.long()
        below, weight = (above + 1).clamp(max=logits.shape[1] - 1), (positions - above).float()[:, None]
        block = logits[:, above].lerp(logits[:, below], weight)
        yield top, 0, F.interpolate(block[None], (len(positions), width), mode="bilinear", align_corners=False)[0]
