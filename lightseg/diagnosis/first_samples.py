"""Checks of a few training samples before training: class ids, value range and normalization."""

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
"""Number of samples, evenly spaced over the split."""

_PROBED = 3
"""Number of these on which each transform is tried by itself."""

_DARK = 0.125
"""Share of the value range below which all pixels lie if images have fewer bits than their files."""


class FirstSample(NamedTuple):
    """Training sample before any transform, with its index in the split."""

    position: int
    image: Array
    target: Array | int


def first_samples(data: ImageDataModule) -> list[FirstSample]:
    """Read `NUMBER` training samples."""
    dataset = data.dataset("train")
    return [FirstSample(index, *dataset[index]) for index in spread(NUMBER, len(dataset))]


def require_own_ids(data: ImageDataModule, samples: Sequence[FirstSample]) -> None:
    """Check that the transforms introduce no class ids into masks, and do not compute with them.

    Raises:
        ConfigError: If they do.
    """
    if data.kind != "segmentation":
        return
    for _, image, target in samples[:_PROBED]:
        if isinstance(target, np.ndarray):
            data.require_copied_ids(image, target)
    for position, _, target in samples:
        before = np.unique(target)
        after = data.train_sample(position)["target"].unique().numpy()
        # of a channel of its own each, pasted classes have no other ids
        pasted = (1,) if data.multilabel else data.pasted_classes
        new_ids = np.setdiff1d(after, [*before, *pasted, IGNORE]).tolist()
        if new_ids:
            name = data.dataset("train").name(position)
            raise ConfigError(
                f"data.train_transforms: the mask of {name} has class {_listed(new_ids)} after them, "
                f"and {_listed(before.tolist())} in its file: one of them averages or changes class ids; leave it out"
            )


def remarks(
    data: ImageDataModule, samples: Sequence[FirstSample], mean: Sequence[float], std: Sequence[float]
) -> Iterator[str]:
    """Yield remarks about value range, normalization and orientation of the images.

    Args:
        data: The data module.
        samples: Some of its training samples.
        mean: Mean that the net subtracts from each channel, on the 0..1 scale.
        std: Deviation that it divides by, likewise.
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
            "by data.value_range, such as [0, 4095] for 12 bits in 16-bit files, or auto for percentiles of train"
        )


def _about_scale(images: Sequence[Array], mean: Sequence[float], std: Sequence[float]) -> Iterator[str]:
    brightness = combine([pixel_sums(image) for image in images], (mean, std))
    if brightness is not None and is_far(brightness):
        measured, deviation = rounded(brightness.mean), rounded(brightness.std)
        yield (
            f"{len(images)} training images have mean {measured} and deviation {deviation}, and are normalised by mean "
            f"{rounded(mean)} and deviation {rounded(std)}, so that they look nearly alike to the net; add to "
            f"model.init_args:  mean: {measured}  std: {deviation}"
        )


def _listed(ids: Sequence[int]) -> str:
    return ", ".join("void" if label == IGNORE else str(label) for label in ids)
