"""Blocks of several predictions of one image, cut to common rows."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lightseg.inference.windows import Block


def common_bands(streams: Sequence[Iterator[Block]], size: tuple[int, int]) -> Iterator[tuple[int, list[Tensor]]]:
    """Yield bands of full width of several predictions, which may be divided into blocks in different ways.

    Args:
        streams: Blocks of each prediction, row by row and from left to right.
        size: Height and width of the image.

    Yields:
        Top of the band, and its values `(K, rows, W)` in each prediction, from top to bottom.
    """
    height, width = size
    bands = [_bands(stream, width) for stream in streams]
    pending, top = [next(stream) for stream in bands], 0
    while True:
        rows = min(band.shape[1] for band in pending)
        yield top, [band[:, :rows] for band in pending]
        top += rows
        if top == height:
            return
        pending = [
            band[:, rows:] if band.shape[1] > rows else next(stream)
            for band, stream in zip(pending, bands, strict=True)
        ]


def _bands(blocks: Iterator[Block], width: int) -> Iterator[Tensor]:
    """Yield the blocks of each row of an image as one."""
    row: list[Tensor] = []
    for _, x, block in blocks:
        row.append(block)
        if x + block.shape[2] == width:
            yield row[0] if len(row) == 1 else torch.cat(row, 2)
            row = []
