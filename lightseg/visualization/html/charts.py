"""Axes of the line charts of a page; the macro `chart` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import LogLocator, MaxNLocator

from lightseg.metrics.scores import Floats

_WIDE = 1e4
"""Ratio of the ends of a logarithmic axis from which on its ticks are powers of 10."""


class Frame(NamedTuple):
    """Size of a chart and of the data area inside it, in pixels."""

    height: int
    width: int = 420
    left: int = 46
    right: int = 404
    top: int = 8

    @property
    def bottom(self) -> int:
        """Lower end of the data area."""
        return self.height - 34


@dataclass(frozen=True)
class Axis:
    """Scale from numbers to pixels.

    Attributes:
        ticks: Labelled numbers, float64 `(T,)`; the axis goes from the first to the last.
        start: Pixel of the first tick.
        end: Pixel of the last tick.
        is_log: Whether equal ratios are equally long.
    """

    ticks: Floats
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def over(cls, values: Floats, start: float, end: float, is_log: bool = False) -> Axis:
        """Return the shortest axis with round ticks that contains the values, float64 `(N,)`."""
        if np.ptp(values) == 0:
            # a single value spans nothing
            values = np.array([values[0] - 0.5, values[0] + 0.5])
        locator: LogLocator | MaxNLocator = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
        if is_log:
            # over many decades, a locator with ticks in between returns none
            is_wide = values.max() > _WIDE * values.min()
            locator = LogLocator(subs=(1.0,) if is_wide else (1.0, 2.0, 5.0))
        ticks = np.asarray(locator.tick_values(values.min(), values.max()))
        # locators also return ticks far outside of the values
        first, last = np.searchsorted(ticks, values.min(), "right") - 1, np.searchsorted(ticks, values.max())
        return cls(ticks[max(0, first) : last + 1], start, end, is_log)

    @property
    def labels(self) -> list[tuple[str, float]]:
        """Text and pixel of each tick."""
        return [(f"{tick:g}", pixel) for tick, pixel in zip(self.ticks, self.at(self.ticks), strict=True)]

    def at(self, values: npt.ArrayLike) -> Floats:
        """Return the pixels of some numbers, float64 of the same shape."""
        scaled, ends = (np.log(x) if self.is_log else np.asarray(x) for x in (values, self.ticks[[0, -1]]))
        pixels: Floats = self.start + (self.end - self.start) * (scaled - ends[0]) / (ends[1] - ends[0])
        return pixels
