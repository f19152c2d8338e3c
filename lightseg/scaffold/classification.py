"""Settings of a classification: size of the input, net, and a remedy for rare classes."""

import numpy as np

from lightseg.scaffold.settings import (
    FLIP_REASON,
    PRETRAINED_REASON,
    Machine,
    NetChoice,
    Setting,
    TaskChoices,
    class_list,
    flip_and_brightness,
    floor_side,
    transform,
)
from lightseg.scaffold.survey import ImageSizes, Survey

_TINY = 64
"""Largest side in pixels of images that a classifier takes as they are."""

_SMALLEST = 10
"""Least side in pixels of an image for `SimpleCNN`."""

_SCARCE = 0.1
"""Share of the images below which those with a class weigh more, where classes may overlap."""

_UNEQUAL = 3.0
"""Ratio of the largest class to the smallest from which on classes are drawn equally often."""


def choose_classification(survey: Survey, machine: Machine) -> TaskChoices:
    """Return the settings of a classification.

    Args:
        survey: Facts about the folder.
        machine: Device of the training.
    """
    if is_tiny := _are_tiny(survey.image_sizes):
        size = int(survey.image_sizes[0, 0]), int(survey.image_sizes[0, 1])
    else:
        side = min(224 if machine.is_gpu else 128, floor_side(float(np.median(survey.image_sizes.min(1)))))
        size = side, side
    return TaskChoices(
        net=_net(size, machine),
        size=size,
        largest_batch=128 if machine.is_gpu else 32,
        model=_loss(survey),
        data=[*_sampling(survey), *(_padded_crop(survey, size) if is_tiny else _random_part(survey, size[0]))],
    )


def _are_tiny(sizes: ImageSizes) -> bool:
    """Return whether all images have one size and are so small that they need no resize."""
    return bool((sizes == sizes[0]).all() and sizes.max() <= _TINY)


def _net(size: tuple[int, int], machine: Machine) -> NetChoice:
    height, width = size
    if height == width and _SMALLEST <= height <= _TINY and not machine.is_gpu:
        reason = "the images are tiny, and a small net is fast on a CPU"
        return NetChoice("simple_cnn", Setting("net", {"init_args": {"image_size": height}}, reason), 100)
    encoder = "resnet50.a1_in1k" if machine.is_gpu else "resnet18.a1_in1k"
    options: dict[str, object] = {"encoder": encoder}
    reason = f"{machine.fit}; {PRETRAINED_REASON}"
    if max(size) <= _TINY:
        options["small_images"], reason = (
            True,
            f"{machine.fit}; the images are tiny, so its first layer keeps their size",
        )
    return NetChoice("timm", Setting("net", {"init_args": options}, reason), 200)


def _padded_crop(survey: Survey, size: tuple[int, int]) -> list[Setting]:
    height, width = size
    transforms = [
        transform("PadIfNeeded", min_height=height + 8, min_width=width + 8, border_mode=0, fill=0),
        transform("RandomCrop", height=height, width=width),
        *flip_and_brightness(survey),
    ]
    reason = f"four pixels of padding, and a crop of the images' size; {FLIP_REASON}"
    return [
        Setting("train_transforms", transforms, reason),
        Setting("eval_transforms", [], "all images have one size, which is that of a training sample"),
    ]


def _random_part(survey: Survey, side: int) -> list[Setting]:
    crop = transform("RandomResizedCrop", size=[side, side], scale=[0.35, 1.0])
    evaluation = [
        transform("SmallestMaxSize", max_size=round(side * 8 / 7)),
        transform("CenterCrop", height=side, width=side),
    ]
    reason = f"a random part becomes {side}×{side}; {FLIP_REASON}"
    return [
        Setting("train_transforms", [crop, *flip_and_brightness(survey)], reason),
        Setting("eval_transforms", evaluation, "the middle of the image, as large as a training sample"),
    ]


def _loss(survey: Survey) -> list[Setting]:
    if survey.overlap is None:
        return []
    loss = Setting("loss", "bce", "the cross-entropy of each class by itself")
    rare = np.flatnonzero(survey.counts < _SCARCE * survey.sizes["train"]).tolist()
    reason = f"the few images with a class weigh as much as those without it: {class_list(survey, rare)}"
    return [loss, *([Setting("positive_weights", "balanced", reason)] if rare else [])]


def _sampling(survey: Survey) -> list[Setting]:
    if survey.overlap is not None:
        return []
    counts = survey.counts[survey.counts > 0]
    largest, smallest = int(counts.max()), int(counts.min())
    reason = (
        f"every class is drawn equally often: the largest has {largest:,} images in train, the smallest {smallest:,}"
    )
    return [Setting("sampling", "class_balanced", reason)] if largest >= _UNEQUAL * smallest else []
