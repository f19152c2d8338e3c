"""Comparison of the training images' mean and deviation with those of the normalization."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.diagnosis.findings import Finding
from lightseg.diagnosis.samples import PixelSums, Sample
from lightseg.errors import DataError
from lightseg.nets.base import Normalization

_MAX_OFFSET, _MAX_RATIO = 3.0, 4.0
"""Largest difference of the means, in deviations, and largest ratio of the deviations, without a remark."""


@dataclass(frozen=True)
class Brightness:
    """Measured mean and deviation, and those of the normalization, per channel `(C,)` on the 0..1 scale."""

    mean: list[float]
    std: list[float]
    used_mean: list[float]
    used_std: list[float]


def measure_brightness(
    data: ImageDataModule, samples: Sequence[Sample], normalization: Normalization | None = None
) -> Brightness | None:
    """Measure all readable training images; None if there are none, or their channels differ.

    Args:
        data: The data module.
        samples: Its surveyed samples.
        normalization: Mean and deviation of the normalization; by default those of the data module.
    """
    try:
        mean, std = normalization or data.pixel_stats()
    except DataError:
        # it reads images, and a broken one is a finding already
        return None
    pixels = [sample.pixels for sample in samples if sample.split == "train" and sample.pixels is not None]
    return combine(pixels, (mean, std))


def combine(images: Sequence[PixelSums], normalization: tuple[Sequence[float], Sequence[float]]) -> Brightness | None:
    """Return mean and deviation over all pixels; None without images, or if their channels differ.

    Args:
        images: `pixel_sums` of each image.
        normalization: Mean and deviation of the normalization.
    """
    if not images or len({len(total) for _, total, _ in images}) > 1:
        return None
    count = sum(number for number, _, _ in images)
    mean = np.sum([total for _, total, _ in images], axis=0) / count
    squares = np.sum([square for _, _, square in images], axis=0) / count
    std = np.sqrt(np.maximum(squares - mean**2, 0))
    return Brightness(mean.tolist(), std.tolist(), *map(list, normalization))


def is_far(brightness: Brightness) -> bool:
    """Return whether mean or deviation are so far off that normalized images look nearly alike to a net."""
    if len(brightness.mean) != len(brightness.used_mean):
        # the net's check of its channels reports it
        return False
    std, used_std = np.array(brightness.std), np.array(brightness.used_std)
    offset = np.abs(np.array(brightness.mean) - brightness.used_mean) / used_std
    # the strongest channel counts, since another one may be empty
    ratio = std.max() / used_std[std.argmax()]
    return bool(offset.max() > _MAX_OFFSET or not 1 / _MAX_RATIO <= ratio <= _MAX_RATIO)


def brightness_findings(brightness: Brightness | None) -> list[Finding]:
    """Note if the normalization does not fit the images."""
    if brightness is None or not is_far(brightness):
        return []
    what = f"the images have mean {rounded(brightness.mean)} and standard deviation {rounded(brightness.std)}, far "
    what += f"from the {rounded(brightness.used_mean)} and {rounded(brightness.used_std)} they are normalised by"
    mend = "unless pretrained weights expect others, add to model.init_args:"
    mend += f"\n  mean: {rounded(brightness.mean)}\n  std: {rounded(brightness.std)}"
    return [Finding("mean and deviation", "note", what, mend)]


def rounded(values: Sequence[float]) -> list[float]:
    """Return values rounded to three significant digits."""
    return [float(f"{value:.3g}") for value in values]
