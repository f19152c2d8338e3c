"""Checks of a few training samples before training: ids that transforms invent, values that do not fit."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lightseg.data import ImageDataModule
from lightseg.data.types import Array
from lightseg.diagnosis.brightness import combine, is_far, rounded
from lightseg.diagnosis.samples import pixel_sums
from lightseg.errors import ConfigError
from lightseg.files.evenly_spaced import spread
from lightseg.labels import IGNORE

NUMBER = 8
"""Number of samples to look at, spread evenly over the split."""

_DARK = 0.125
"""Share of the values' range below which all pixels lie where images are of fewer bits than their files."""


class FirstSample(NamedTuple):
    """Training sample before any transform, and where it is in its split."""

    position: int
    image: Array
    target: Array | int


def first_samples(data: ImageDataModule) -> list[FirstSample]:
    """Read some training samples."""
    dataset = data.dataset("train")
    return [FirstSample(index, *dataset[index]) for index in spread(NUMBER, len(dataset))]


def require_own_ids(data: ImageDataModule, samples: Sequence[FirstSample]) -> None:
    """See that masks hold no class after the transforms that they did not hold before.

    Raises:
        ConfigError: If one does.
    """
    if data.kind != "segmentation":
        return
    for position, _, target in samples:
        before = np.unique(target)
        after = data.train_sample(position)["target"].unique().numpy()
        invented = np.setdiff1d(after, [*before, *data.pasted_classes, IGNORE]).tolist()
        if invented:
            name = data.dataset("train").name(position)
            raise ConfigError(
                f"data.train_transforms: the mask of {name} has class {_listed(invented)} after them, "
                f"and {_listed(before.tolist())} in its file: one of them averages or changes class ids; leave it out"
            )


def remarks(
    data: ImageDataModule, samples: Sequence[FirstSample], mean: Sequence[float], std: Sequence[float]
) -> Iterator[str]:
    """Tell what the images have that a training suffers from.

    Args:
        data: Whose training images they are.
        samples: Some of them.
        mean: What the net subtracts from each channel, on the 0..1 scale.
        std: What it divides by.
    """
    images = [sample.image for sample in samples]
    yield from _about_range(images)
    yield from _about_scale(images, mean, std)
    dataset = data.dataset("train")
    turned = [dataset.name(sample.position) for sample in samples if dataset.is_turned_alone(sample.position)]
    if turned:
        yield (
            f"{turned[0]}: EXIF turns the image and not its mask, or the other way; see whether they fit each other: "
            "python -m lightseg.doctor draws them"
        )


def _about_range(images: Sequence[Array]) -> Iterator[str]:
    highest = max(float(image.max(initial=0)) / (255 if image.dtype == np.uint8 else 1) for image in images)
    if 0 < highest < _DARK:
        yield (
            f"no pixel of {len(images)} training images is above {highest:.2g} on the scale from 0 (black) to 1 "
            "(white), and transforms such as brightness move pixels by shares of it; a folder's images are stretched "
            "by data.value_range, such as [0, 4095] for 12 bits in 16-bit files"
        )


def _about_scale(images: Sequence[Array], mean: Sequence[float], std: Sequence[float]) -> Iterator[str]:
    found = combine([pixel_sums(image) for image in images], (mean, std))
    if found is not None and is_far(found):
        measured, deviation = rounded(found.mean), rounded(found.std)
        yield (
            f"{len(images)} training images have mean {measured} and deviation {deviation}, and are normalised by mean "
            f"{rounded(mean)} and deviation {rounded(std)}, so that they look nearly alike to the net; add to "
            f"model.init_args:  mean: {measured}  std: {deviation}"
        )


def _listed(ids: Sequence[int]) -> str:
    return ", ".join("void" if each == IGNORE else str(each) for each in ids)
