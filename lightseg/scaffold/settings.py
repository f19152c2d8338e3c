"""Settings of a recipe with their reasons, and what those of segmentation and classification share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from lightseg.hardware.devices import training_device
from lightseg.hardware.memory import total_memory
from lightseg.scaffold.survey import Survey

FLIP_REASON = "leave the flip out where left and right differ, such as in text"
PRETRAINED_REASON = (
    "with `encoder_weights: imagenet` among its init_args it starts from pretrained weights, which are downloaded once "
    "and help most where there are few images"
)


class Setting(NamedTuple):
    """Option of a recipe with the reason for its value.

    Attributes:
        key: The option.
        value: Its value.
        reason: The reason, a comment; empty without one.
        is_active: Whether the recipe sets it; otherwise it is a suggestion in a comment.
    """

    key: str
    value: Any
    reason: str = ""
    is_active: bool = True


class NetChoice(NamedTuple):
    """Choice of a net.

    Attributes:
        block: Name of its block in `configs/net`.
        setting: Its options and the reason.
        floats: Numbers per pixel of the input that a training step keeps, about.
    """

    block: str
    setting: Setting
    floats: int


class TaskChoices(NamedTuple):
    """Settings that depend on the kind of task.

    Attributes:
        net: The net.
        size: Height and width of a training sample.
        largest_batch: Batch size where memory and data allow it.
        model: Further settings of the task.
        data: Further settings of the data.
    """

    net: NetChoice
    size: tuple[int, int]
    largest_batch: int
    model: list[Setting]
    data: list[Setting]


class Machine(NamedTuple):
    """Device of the training.

    Attributes:
        is_gpu: Whether it is a GPU.
        memory: Its memory in bytes.
    """

    is_gpu: bool
    memory: int

    def __str__(self) -> str:
        return f"{'a GPU' if self.is_gpu else 'a CPU'} with {self.memory / 2**30:.0f} GiB of memory"

    @property
    def fit(self) -> str:
        """Return the reason for an encoder, for comments."""
        return "a size for a GPU" if self.is_gpu else "small enough for a CPU"

    @classmethod
    def detect(cls) -> "Machine":
        """Return the device that a training takes here."""
        device = training_device()
        if device.type == "cuda":
            return cls(True, torch.cuda.get_device_properties(device).total_memory)
        return cls(device.type != "cpu", total_memory())


def floor_side(side: float) -> int:
    """Return the largest multiple of 32 up to a side in pixels, or of 8 for sides below 64; at least 8."""
    step = 32 if side >= 64 else 8
    return max(8, int(side) // step * step)


def transform(name: str, **options: Any) -> dict[str, Any]:
    """Return a transform of Albumentations, as a recipe names it."""
    return {"class_path": f"albumentations.{name}", "init_args": options}


def flip_and_brightness(survey: Survey) -> list[dict[str, Any]]:
    """Return a mirror image, and for photos a change of light; other values may be measurements."""
    limits = {"brightness_limit": [-0.2, 0.2], "contrast_limit": [-0.2, 0.2]}
    light = [transform("RandomBrightnessContrast", **limits, p=0.5)] if survey.is_photo else []
    return [transform("HorizontalFlip", p=0.5), *light]


def class_list(survey: Survey, labels: Sequence[int]) -> str:
    """Return the names of classes, for comments."""
    return ", ".join(survey.classes[label] for label in labels)
