"""Sliding windows over an image of any size, blended without seams, in bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightseg.errors import ConfigError

ReadRows = Callable[[int, int], Tensor]
"""Reads the rows `first:last` of an image, `(C, last - first, W)`, on the net's device."""

Block = tuple[int, int, Tensor]
"""Top and left of a block of an image, and its values `(K, h, w)`."""

_BATCH_PIXELS = 2**21
_LEAST_WEIGHT = 1e-9


@dataclass(frozen=True)
class Span:
    """Window along one axis.

    Attributes:
        start: First pixel.
        stop: Last pixel plus 1.
        weights: Weight of each of its pixels, `(stop - start,)` float32; over all windows they add up to 1.
    """

    start: int
    stop: int
    weights: Tensor


def spans(side: int, window: int, overlap: float) -> list[Span]:
    """Return the windows along an axis of `side` pixels, all of one size, the last one ending at the edge.

    They start at multiples of one step: where that is a multiple of a net's stride, its grid over a window is that over
    the image. In the overlap of neighbors each is weighted by a squared sine, which is 0 at its own border and 1 where
    the overlap ends.

    Args:
        side: Pixels of the image.
        window: Pixels of a window; `side` if that is smaller.
        overlap: Share of the window that the next one covers too.
    """
    window = min(window, side)
    step = max(1, round(window * (1 - overlap)))
    starts = [*range(0, side - window, step), side - window]
    ramp = torch.linspace(0, 1, window - step, dtype=torch.float64).mul(torch.pi / 2).sin().square()
    raw = [torch.ones(window, dtype=torch.float64) for _ in starts]
    for before, after in pairwise(raw):
        before[step:] *= ramp.flip(0)
        after[: window - step] *= ramp
    total = torch.zeros(side, dtype=torch.float64)
    for start, weights in zip(starts, raw, strict=True):
        # above 0 everywhere, since the borders of two windows may coincide
        weights.clamp_(min=_LEAST_WEIGHT)
        total[start : start + window] += weights
    return [
        Span(start, start + window, (weights / total[start : start + window]).float())
        for start, weights in zip(starts, raw, strict=True)
    ]


def slide(
    net: Callable[[Tensor], Tensor],
    read_rows: ReadRows,
    size: tuple[int, int],
    window: int,
    overlap: float,
    batch: int | None = None,
) -> Iterator[Block]:
    """Yield the blended values of a net for an image that need not be in memory, block by block.

    Only one row of windows of the image is in memory, and of the values only the rows that the next windows overlap.

    Args:
        net: Turns `(N, C, h, w)` windows into values `(N, K, h, w)`.
        read_rows: Reads rows of the image.
        size: Height and width of the image.
        window: Side of the windows in pixels, at most that of the image.
        overlap: Share of the window that the next one covers too.
        batch: Number of windows in one forward pass; None: one on a CPU, 2 megapixels of them elsewhere.

    Yields:
        Blocks that cover each pixel once, from left to right in each row of windows; the caller may change them.

    Raises:
        ConfigError: If the net returns no value per pixel.
    """
    # read before the spans are laid out, which would fill the memory for the absurd size in a broken header
    first_strip = [read_rows(0, min(window, size[0]))]
    rows, columns = (spans(side, window, overlap) for side in size)
    heights = [after.start - before.start for before, after in pairwise(rows)] + [rows[-1].stop - rows[-1].start]
    highest = max((rows[0].stop - height for height in heights[:-1]), default=0)
    overlapping: Tensor | None = None
    carried = 0
    for row, height in zip(rows, heights, strict=True):
        overlap_rows = row.stop - row.start - height
        strip = first_strip.pop() if first_strip else read_rows(row.start, row.stop)
        for x, sums in _row_of_windows(net, strip, row.weights, columns, batch):
            if overlapping is None:
                overlapping = sums.new_zeros(len(sums), highest, size[1])
            right = x + sums.shape[2]
            sums[:, :carried] += overlapping[:, :carried, x:right]
            overlapping[:, :overlap_rows, x:right] = sums[:, height:]
            yield row.start, x, sums[:, :height]
        carried = overlap_rows
        # freed before the next one is read
        del strip


def most_likely(block: Tensor) -> npt.NDArray[np.uint8]:
    """Return the class of every pixel, `(h, w)` uint8, of logits `(K, h, w)`; the lowest id where logits are equal."""
    # `argmax` returns the same, six times slower on a CPU
    classes: npt.NDArray[np.uint8] = block.max(0).indices.byte().cpu().numpy()
    return classes


def _row_of_windows(
    net: Callable[[Tensor], Tensor], strip: Tensor, weights: Tensor, columns: list[Span], batch: int | None
) -> Iterator[tuple[int, Tensor]]:
    """Yield the left edges and the weighted sums `(K, h, w)` of one row of windows, from left to right."""
    window = columns[0].stop
    if batch is None:
        batch = 1 if strip.device.type == "cpu" else max(1, _BATCH_PIXELS // (window * strip.shape[1]))
    remainder: Tensor | None = None
    for first in range(0, len(columns), batch):
        group = columns[first : first + batch]
        x = group[0].start
        right = columns[first + batch].start if first + batch < len(columns) else group[-1].stop
        values = net(torch.stack([strip[:, :, column.start : column.stop] for column in group]))
        if values.ndim != 4:
            raise ConfigError("window: a classifier predicts one class per image, from all of it; leave it out")
        sums = values.new_zeros(*values.shape[1:3], group[-1].stop - x, dtype=torch.float32)
        if remainder is not None:
            sums[:, :, : remainder.shape[2]] = remainder
        for column, value in zip(group, values, strict=True):
            weight = (weights[:, None] * column.weights).to(sums.device)
            sums[:, :, column.start - x : column.stop - x].addcmul_(value.float(), weight)
        remainder = sums[:, :, right - x :]
        yield x, sums[:, :, : right - x]
