"""Settings of a segmentation: crop, net, loss, and remedies for rare classes."""

import numpy as np

from lightseg.data.transforms.rare_classes import rare_classes
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
from lightseg.scaffold.survey import Survey

_ENCODED = 128
"""Least side of a crop in pixels for an ImageNet encoder, which reduces it 32 times."""

_BOTTOM = 8
"""Least side of a crop in pixels at the lowest level of a U-Net."""

_WHOLE = 0.75
"""Share of the image's side from which on a crop is the whole image, and not scaled down."""

_SCARCE = 0.1
"""Share of the images with the most common class below which images with a class are drawn more often."""


def choose_segmentation(survey: Survey, machine: Machine) -> TaskChoices:
    """Return the settings of a segmentation.

    Args:
        survey: Facts about the folder.
        machine: Device of the training.
    """
    height, width = np.median(survey.image_sizes, axis=0)
    most = 512 if machine.is_gpu else 256
    crop = min(most, floor_side(height)), min(most, floor_side(width))
    return TaskChoices(
        net=_net(survey, crop, machine),
        size=crop,
        largest_batch=16 if machine.is_gpu else 8,
        model=_loss(survey),
        data=[*_sampling(survey), _transforms(survey, crop)],
    )


def _net(survey: Survey, crop: tuple[int, int], machine: Machine) -> NetChoice:
    if survey.is_photo and min(crop) >= _ENCODED:
        encoder = "resnet34" if machine.is_gpu else "resnet18"
        reason = f"a U-Net on {encoder}, {machine.fit}; {PRETRAINED_REASON}"
        return NetChoice("smp", Setting("net", {"init_args": {"encoder": encoder}}, reason), 400)
    width = 32 if machine.is_gpu else 16
    depth = int(np.clip(np.log2(min(crop) / _BOTTOM), 1, 4))
    cause = (
        "the images are small" if survey.is_photo else "encoders are pretrained on 8-bit photos, which these are not"
    )
    reason = f"a plain U-Net, since {cause}; its width is for this machine, its depth for the crop"
    # 14 layers at full resolution, and as much at all lower ones
    return NetChoice("unet", Setting("net", {"init_args": {"width": width, "depth": depth}}, reason), 28 * width)


def _loss(survey: Survey) -> list[Setting]:
    if survey.overlap is not None:
        reason = "Dice beside the cross-entropy of each class: every class counts alike, however few pixels it has"
        return [Setting("loss", {"bce": 1.0, "dice": 1.0}, reason)]
    rare = class_list(survey, rare_classes(survey.counts, survey.classes))
    reason = "Dice beside cross-entropy: every class counts alike, however few pixels it has"
    loss = Setting("loss", {"ce": 1.0, "dice": 1.0}, f"{reason}{f' (rare here: {rare})' if rare else ''}")
    if not rare or len(survey.classes) == 2:
        return [loss]
    return [loss, Setting("class_weights", "sqrt_inverse", f"rare classes weigh more in the loss: {rare}")]


def _sampling(survey: Survey) -> list[Setting]:
    shares = survey.image_counts / max(int(survey.image_counts.max()), 1)
    scarce = np.flatnonzero((shares > 0) & (shares < _SCARCE)).tolist()
    reason = f"images with a class that few images show are drawn more often: {class_list(survey, scarce)}"
    return [Setting("sampling", "repeat_factor", reason)] if scarce else []


def _transforms(survey: Survey, crop: tuple[int, int]) -> Setting:
    height, width = crop
    share = float((np.array(crop) / np.median(survey.image_sizes, axis=0)).max())
    # an image below the crop's size would be padded
    scale, part = ([0.0, 0.5], "the whole") if share > _WHOLE else ([round(max(0.5, share) - 1, 2), 1.0], "a part")
    transforms = [
        transform("RandomScale", scale_limit=scale, area_for_downscale="image", p=1.0),
        transform("RandomCrop", height=height, width=width, pad_if_needed=True),
        *flip_and_brightness(survey),
    ]
    reason = (
        f"a random scale, and a crop of {height}×{width} (height×width), {part} of an unscaled image; {FLIP_REASON}"
    )
    return Setting("train_transforms", transforms, reason)
