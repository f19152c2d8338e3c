"""Mean and standard deviation of the training images against those that they are normalised by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.diagnosis.findings import Finding
from lightseg.diagnosis.samples import Sample
from lightseg.errors import DataError
from lightseg.nets.base import Normalization

_OFF, _SCALE = 0.5, 1.6
"""Deviations that a mean may be off, and the factor that a deviation may be off, before it is worth a remark."""


@dataclass(frozen=True)
class Brightness:
    """Mean and standard deviation per channel on the 0..1 scale, `(C,)` each: measured, and used."""

    mean: list[float]
    std: list[float]
    used_mean: list[float]
    used_std: list[float]


def measure_brightness(
    data: ImageDataModule, samples: Sequence[Sample], normalization: Normalization | None = None
) -> Brightness | None:
    """Of all training images that can be read; None where there is none, or their channels differ.

    Args:
        data: The data set.
        samples: What was seen of its samples.
        normalization: What the images are normalised by; the data's own if left out.
    """
    all_pixels = [sample.pixels for sample in samples if sample.split == "train" and sample.pixels is not None]
    if not all_pixels or len({len(total) for _, total, _ in all_pixels}) > 1:
        return None
    count = sum(number for number, _, _ in all_pixels)
    mean = np.sum([total for _, total, _ in all_pixels], axis=0) / count
    squares = np.sum([square for _, _, square in all_pixels], axis=0) / count
    try:
        used_mean, used_std = normalization or data.pixel_stats()
    except DataError:
        # it reads images, of which one is broken; that is a finding already
        return None
    std = np.sqrt(np.maximum(squares - mean**2, 0))
    return Brightness(mean.tolist(), std.tolist(), list(used_mean), list(used_std))


def brightness_findings(brightness: Brightness | None) -> list[Finding]:
    """The remark that the images are far from what they are normalised by."""
    if brightness is None or len(brightness.mean) != len(brightness.used_mean):
        return []
    used = np.array(brightness.used_std)
    off = np.abs(np.array(brightness.mean) - brightness.used_mean) / used
    scale = np.array(brightness.std) / used
    if off.max() <= _OFF and scale.max() <= _SCALE and scale.min() >= 1 / _SCALE:
        return []
    what = f"the images have mean {rounded(brightness.mean)} and standard deviation {rounded(brightness.std)}, far "
    what += f"from the {rounded(brightness.used_mean)} and {rounded(brightness.used_std)} they are normalised by"
    mend = "unless pretrained weights expect others, add to model.init_args:"
    mend += f"\n  mean: {rounded(brightness.mean)}\n  std: {rounded(brightness.std)}"
    return [Finding("mean and deviation", "note", what, mend)]


def rounded(values: Sequence[float]) -> list[float]:
    """Three digits behind the point."""
    return [round(value, 3) for value in values]
