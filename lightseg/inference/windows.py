"""Sliding windows over an image of any size, blended without seams, holding only what later windows still add to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightseg.errors import ConfigError

Read = Callable[[int, int], Tensor]
"""The rows of an image from the first to before the last, `(C, last - first, W)`, on the net's device."""

Block = tuple[int, int, Tensor]
"""Top and left of a part of an image, and its values `(K, h, w)`."""

_BATCH_PIXELS = 2**21
_FLOOR = 1e-9


@dataclass(frozen=True)
class Span:
    """Window along one axis.

    Attributes:
        start: Its first pixel.
        stop: Behind its last pixel.
        weights: What it counts at each of its pixels, `(stop - start,)` float32; over all windows they add up to 1.
    """

    start: int
    stop: int
    weights: Tensor


def spans(side: int, window: int, overlap: float) -> list[Span]:
    """Windows along an axis of `side` pixels, all of one size, the last one ending at the edge.

    They start at multiples of one step: where that is a multiple of a net's stride, the net lays the same grid over a
    window as over the whole image. In the overlap of neighbours each counts by a squared sine, which is 0 at its own
    border and 1 where the overlap ends.

    Args:
        side: Pixels of the image.
        window: Pixels of a window; the side itself if that is smaller.
        overlap: Share of the window that the next one sees again.
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
        # nowhere quite 0, where borders of two windows may meet
        weights.clamp_(min=_FLOOR)
        total[start : start + window] += weights
    return [
        Span(start, start + window, (weights / total[start : start + window]).float())
        for start, weights in zip(starts, raw, strict=True)
    ]


def slide(
    net: Callable[[Tensor], Tensor],
    read_rows: Read,
    size: tuple[int, int],
    window: int,
    overlap: float,
    batch: int | None = None,
) -> Iterator[Block]:
    """Blended values of the net for an image that need not be in memory, block by block.

    Of the values, only the rows that the next row of windows sees again are kept, and of the image one row of windows.

    Args:
        net: Turns `(N, C, h, w)` windows into values `(N, K, h, w)`.
        read_rows: Reads the image.
        size: Height and width of the image.
        window: Side of the windows, as far as the image is as large.
        overlap: Share of the window that the next one sees again.
        batch: Windows that go through the net at once; left out, one on a CPU and 2 megapixels of them elsewhere.

    Yields:
        Blocks that cover the image once, row by row of windows, each from left to right; free to be changed.

    Raises:
        ConfigError: If the net gives no value per pixel.
    """
    # in front of the windows, which would fill the memory where a broken file's header says an absurd size
    first = [read_rows(0, min(window, size[0]))]
    rows, columns = (spans(side, window, overlap) for side in size)
    heights = [after.start - before.start for before, after in pairwise(rows)] + [rows[-1].stop - rows[-1].start]
    highest = max((rows[0].stop - height for height in heights[:-1]), default=0)
    kept: Tensor | None = None
    carried = 0
    for row, height in zip(rows, heights, strict=True):
        left_over = row.stop - row.start - height
        strip = first.pop() if first else read_rows(row.start, row.stop)
        for left, sums in _row_of_windows(net, strip, row.weights, columns, batch):
            if kept is None:
                kept = sums.new_zeros(len(sums), highest, size[1])
            right = left + sums.shape[2]
            sums[:, :carried] += kept[:, :carried, left:right]
            kept[:, :left_over, left:right] = sums[:, height:]
            yield row.start, left, sums[:, :height]
        carried = left_over


def most_likely(block: Tensor) -> npt.NDArray[np.uint8]:
    """Return the class of every pixel `(h, w)`, of logits `(K, h, w)`; of equal ones the first."""
    # `argmax` gives the same, six times slower on a CPU
    classes: npt.NDArray[np.uint8] = block.max(0).indices.byte().cpu().numpy()
    return classes


def _row_of_windows(
    net: Callable[[Tensor], Tensor], strip: Tensor, weights: Tensor, columns: list[Span], batch: int | None
) -> Iterator[tuple[int, Tensor]]:
    """Weighted sums `(K, h, w)` over one row of windows, and where they begin, from left to right."""
    window = columns[0].stop
    if batch is None:
        batch = 1 if strip.device.type == "cpu" else max(1, _BATCH_PIXELS // (window * strip.shape[1]))
    rest: Tensor | None = None
    for first in range(0, len(columns), batch):
        group = columns[first : first + batch]
        left = group[0].start
        right = columns[first + batch].start if first + batch < len(columns) else group[-1].stop
        values = net(torch.stack([strip[:, :, column.start : column.stop] for column in group]))
        if values.ndim != 4:
            raise ConfigError("window: a classifier says one class per image, so it sees the whole of it; leave it out")
        sums = values.new_zeros(*values.shape[1:3], group[-1].stop - left, dtype=torch.float32)
        if rest is not None:
            sums[:, :, : rest.shape[2]] = rest
        for column, value in zip(group, values, strict=True):
            weight = (weights[:, None] * column.weights).to(sums.device)
            sums[:, :, column.start - left : column.stop - left].addcmul_(value.float(), weight)
        rest = sums[:, :, right - left :]
        yield left, sums[:, :, : right - left]
