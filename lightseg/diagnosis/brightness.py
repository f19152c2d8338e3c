"""Mean and standard deviation of the training images against those that they are normalised by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.diagnosis.findings import Finding
from lightseg.diagnosis.samples import PixelSums, Sample
from lightseg.errors import DataError
from lightseg.nets.base import Normalization

_OFF, _SCALE = 3.0, 4.0
"""Deviations that a mean may be off, and the factor that a deviation may be off, before a net sees little."""


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
    try:
        used = normalization or data.pixel_stats()
    except DataError:
        # it reads images, of which one is broken; that is a finding already
        return None
    return combine([sample.pixels for sample in samples if sample.split == "train" and sample.pixels is not None], used)


def combine(images: Sequence[PixelSums], used: tuple[Sequence[float], Sequence[float]]) -> Brightness | None:
    """Of all pixels of images; None where there is none, or their channels differ.

    Args:
        images: `pixel_sums` of each.
        used: What they are normalised by.
    """
    if not images or len({len(total) for _, total, _ in images}) > 1:
        return None
    count = sum(number for number, _, _ in images)
    mean = np.sum([total for _, total, _ in images], axis=0) / count
    squares = np.sum([square for _, _, square in images], axis=0) / count
    std = np.sqrt(np.maximum(squares - mean**2, 0))
    return Brightness(mean.tolist(), std.tolist(), *map(list, used))


def is_far(brightness: Brightness) -> bool:
    """Return whether images are so far from what they are normalised by that they look nearly alike to a net."""
    if len(brightness.mean) != len(brightness.used_mean):
        # it will be said by what needs them to be alike
        return False
    std, used = np.array(brightness.std), np.array(brightness.used_std)
    off = np.abs(np.array(brightness.mean) - brightness.used_mean) / used
    # a channel may be empty, as long as another one is not
    scale = std.max() / used[std.argmax()]
    return bool(off.max() > _OFF or not 1 / _SCALE <= scale <= _SCALE)


def brightness_findings(brightness: Brightness | None) -> list[Finding]:
    """Return the remark that the images are far from what they are normalised by."""
    if brightness is None or not is_far(brightness):
        return []
    what = f"the images have mean {rounded(brightness.mean)} and standard deviation {rounded(brightness.std)}, far "
    what += f"from the {rounded(brightness.used_mean)} and {rounded(brightness.used_std)} they are normalised by"
    mend = "unless pretrained weights expect others, add to model.init_args:"
    mend += f"\n  mean: {rounded(brightness.mean)}\n  std: {rounded(brightness.std)}"
    return [Finding("mean and deviation", "note", what, mend)]


def rounded(values: Sequence[float]) -> list[float]:
    """Three digits of each."""
    return [float(f"{value:.3g}") for value in values]
