"""What some training samples tell before anything is trained: ids that transforms invent, values that do not fit."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lightseg.data import ImageDataModule
from lightseg.data.datasets.mask_dataset import MaskFiles
from lightseg.data.types import Array
from lightseg.errors import ConfigError
from lightseg.files.evenly_spaced import spread
from lightseg.labels import IGNORE

NUMBER = 8
"""How many samples are looked at, spread evenly over the split."""

_DARK = 0.125
"""Share of the values' range below which all pixels lie where images are of fewer bits than their files."""

_OFF, _SCALE = 3.0, 4.0
"""Deviations that the mean may be off, and the factor that the deviation may be off, before a net sees little."""


def require_own_ids(data: ImageDataModule) -> None:
    """See that masks hold no class after the transforms that they did not hold before.

    Raises:
        ConfigError: If one does.
    """
    if data.kind != "segmentation":
        return
    dataset = data.dataset("train")
    for index in spread(NUMBER, len(dataset)):
        before = np.unique(dataset[index][1])
        after = data.train_sample(index)["target"].unique().numpy()
        invented = np.setdiff1d(after, [*before, *data.pasted_classes, IGNORE]).tolist()
        if invented:
            raise ConfigError(
                f"data.train_transforms: the mask of {dataset.name(index)} has class {_listed(invented)} after them, "
                f"and {_listed(before.tolist())} in its file: one of them averages or changes class ids; leave it out"
            )


def remarks(data: ImageDataModule, mean: Sequence[float], std: Sequence[float]) -> Iterator[str]:
    """Tell what the images have that a training suffers from.

    Args:
        data: Whose training images they are.
        mean: What the net subtracts from each channel, on the 0..1 scale.
        std: What it divides by.
    """
    dataset = data.dataset("train")
    indices = spread(NUMBER, len(dataset))
    images = [_on_unit_scale(dataset[index][0]) for index in indices]
    yield from _about_range(images)
    yield from _about_scale(images, np.array(mean), np.array(std))
    if isinstance(dataset, MaskFiles):
        masked = [index for index in indices if dataset.mask_name(index)]
        turned = [dataset.name(index) for index in masked if dataset.is_turned_alone(index)]
        if turned:
            yield (
                f"{turned[0]}: EXIF turns the image and not its mask, or the other way; see whether they fit each "
                "other: python -m lightseg.doctor draws them"
            )


def _on_unit_scale(image: Array) -> npt.NDArray[np.float32]:
    return np.asarray(image / 255 if image.dtype == np.uint8 else image, np.float32)


def _about_range(images: Sequence[npt.NDArray[np.float32]]) -> Iterator[str]:
    highest = max(float(image.max(initial=0)) for image in images)
    if 0 < highest < _DARK:
        yield (
            f"no pixel of {len(images)} training images is above {highest:.2g} on the scale from 0 (black) to 1 "
            "(white), and transforms such as brightness move pixels by shares of it; a folder's images are stretched "
            "by data.value_range, such as [0, 4095] for 12 bits in 16-bit files"
        )


def _about_scale(images: Sequence[npt.NDArray[np.float32]], mean: Array, std: Array) -> Iterator[str]:
    if {image.shape[-1] for image in images} != {len(mean)}:
        # it will be said by what needs them to be alike
        return
    pixels = np.concatenate([image.reshape(-1, image.shape[-1]) for image in images])
    measured, deviation = pixels.mean(0), pixels.std(0)
    ratio = deviation.max() / std[deviation.argmax()]
    if (np.abs(measured - mean) / std).max() > _OFF or not 1 / _SCALE <= ratio <= _SCALE:
        yield (
            f"{len(images)} training images have mean {_rounded(measured)} and deviation {_rounded(deviation)}, and "
            f"are normalised by mean {_rounded(mean)} and deviation {_rounded(std)}, so that they look nearly alike to "
            f"the net; add to model.init_args:  mean: {_rounded(measured)}  std: {_rounded(deviation)}"
        )


def _rounded(values: Array) -> list[float]:
    return [float(f"{value:.3g}") for value in values]


def _listed(ids: Sequence[int]) -> str:
    return ", ".join("void" if each == IGNORE else str(each) for each in ids)
