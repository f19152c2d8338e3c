"""Bands, range and nodata value of images, where the files alone do not define them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightseg.data.types import Array
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE

Missing = npt.NDArray[np.bool_]
"""Missing pixels `(H, W)`, or missing values `(H, W, C)`."""


class ImageValues(NamedTuple):
    """Bands, range and nodata value of an image's values, where the file alone does not define them.

    Attributes:
        ranges: Values that become 0 and 1, one pair for all channels or one for each; None: those of the bit depth.
        nodata: Value that marks missing values, as NaN then does, too; None: no value is missing.
        bands: Channels of the file that are read, in this order, counted from 1; None: all.
        fill: Replacement of missing values for each channel, on the 0..1 scale, beside which masks are void where all
            channels are missing; None: 0, and masks are unchanged, as in checkpoints that do not record it.
    """

    ranges: tuple[tuple[float, float], ...] | None = None
    nodata: float | None = None
    bands: tuple[int, ...] | None = None
    fill: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls,
        value_range: Sequence[float] | Sequence[Sequence[float]] | None,
        nodata: float | None = None,
        bands: Sequence[int] | None = None,
    ) -> ImageValues:
        """Build the values from the options of a data module.

        Args:
            value_range: Values that become 0 and 1, one pair or one for each channel; None: those of the bit depth.
            nodata: Value that marks missing values.
            bands: Channels of the file, from 1 on.

        Raises:
            ConfigError: If a range is empty or not finite, or a band is no number from 1 on.
        """
        ranges: tuple[tuple[float, float], ...] | None = None
        if value_range is not None:
            is_list = all(isinstance(pair, Sequence) for pair in value_range)
            pairs: Sequence[Any] = value_range if is_list else [value_range]
            ranges = tuple((low, high) for low, high in pairs)
            wrong = [pair for pair in ranges if not (np.isfinite(pair).all() and pair[0] < pair[1])]
            if wrong or not ranges:
                value = list(wrong[0] if wrong else ())
                raise ConfigError(f"data.value_range: {value} is no range; give the least and the greatest value")
        if bands is not None and (not bands or min(bands) < 1):
            raise ConfigError(f"data.bands: {list(bands)} must be numbers of bands, from 1 on, such as [3, 2, 1]")
        return cls(ranges, nodata, None if bands is None else tuple(bands))

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | Sequence[float | None]) -> ImageValues:
        """Build the values from the recipe of a checkpoint.

        Args:
            record: Result of `to_record`; or least value, greatest value and nodata value, as in version 0.1.
        """
        if isinstance(record, Mapping):
            options: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
            }
            if "ranges" in options:
                options["ranges"] = tuple((low, high) for low, high in options["ranges"])
            return cls(**options)
        low, high, nodata = record
        return cls(None if low is None or high is None else ((low, high),), nodata)

    def to_record(self) -> dict[str, Any]:
        """Return the values that are set as plain data, for a recipe."""
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}
        if self.ranges is not None:
            options["ranges"] = [list(pair) for pair in self.ranges]
        return {name: value for name, value in options.items() if value is not None}

    def stored_channels(self, channels: int) -> int:
        """Return the number of channels in a file, for the decoder; 0, unknown, if only some bands are read."""
        return channels if self.bands is None else 0

    @property
    def voids_masks(self) -> bool:
        """Return whether masks are void where an image has no data."""
        return self.nodata is not None and self.fill is not None

    def find_missing(self, array: Array) -> Missing | None:
        """Return which stored values are missing, bool of the shape of the array; None without a nodata value."""
        if self.nodata is None:
            return None
        is_missing: Missing = array == self.nodata
        return is_missing | np.isnan(array) if array.dtype.kind == "f" else is_missing

    def scale(self, array: Array) -> Array:
        """Scale stored values `(..., C)` to float32 in 0..1; NaN is kept, and refused later."""
        assert self.ranges is not None, "there is no range to scale to"
        low, high = np.array(self.ranges, np.float64).T
        scaled: Array = ((array.astype(np.float64) - low) / (high - low)).clip(0, 1).astype(np.float32)
        return scaled


AS_STORED = ImageValues()
"""Values whose black and white the bit depth of the file defines."""


def image_values(recipe: Mapping[str, Any]) -> ImageValues:
    """Return the `ImageValues` in a checkpoint's recipe."""
    return ImageValues.from_record(recipe["image_values"]) if "image_values" in recipe else AS_STORED


def add_void(mask: npt.NDArray[np.uint8], is_missing: Missing | None) -> npt.NDArray[np.uint8]:
    """Return a mask `(H, W)` or `(H, W, K)` that is void where its image has no data; None: it has data everywhere."""
    if is_missing is None:
        return mask
    return np.where(is_missing if mask.ndim == 2 else is_missing[..., None], np.uint8(IGNORE), mask)
