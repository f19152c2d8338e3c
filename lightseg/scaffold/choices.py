"""All settings of a first recipe: those of the task, batch size, length, and the options of the data."""

from typing import NamedTuple

import numpy as np

from lightseg.data import (
    AnnotatedImages,
    AnnotatedImagesClassification,
    ImageFolder,
    ImageTable,
    MaskFolder,
    MultilabelAnnotatedImages,
    MultilabelAnnotatedImagesClassification,
    MultilabelMaskFolder,
)
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.scaffold.classification import choose_classification
from lightseg.scaffold.segmentation import choose_segmentation
from lightseg.scaffold.settings import Machine, Setting, TaskChoices
from lightseg.scaffold.survey import Survey

_BLOCKS: dict[type[FileDataModule], str] = {
    AnnotatedImages: "annotated_images",
    AnnotatedImagesClassification: "annotated_images_classification",
    ImageFolder: "image_folder",
    ImageTable: "image_table",
    MaskFolder: "mask_folder",
    MultilabelAnnotatedImages: "multilabel_annotated_images",
    MultilabelAnnotatedImagesClassification: "annotated_images_labels",
    MultilabelMaskFolder: "multilabel_mask_folder",
}
"""Name of the block in `configs/data` of each data module."""

_MEMORY_SHARE = 0.5
"""Share of the memory that a batch may take in the net."""

_GPU_STEPS, _CPU_STEPS = 10_000, 1_500
"""Steps of a training, within the limits of its epochs."""

_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 200


class Choices(NamedTuple):
    """Settings of a recipe.

    Attributes:
        base: Blocks that the recipe builds on.
        task: Class of the task; None for that of the block of the net.
        model: Settings of the task.
        data: Settings of the data.
        trainer: Settings of the trainer.
    """

    base: list[str]
    task: Setting | None
    model: list[Setting]
    data: list[Setting]
    trainer: list[Setting]


def choose(survey: Survey, machine: Machine) -> Choices:
    """Return the settings that fit a folder and a machine; options that the user states win.

    Args:
        survey: Facts about the folder.
        machine: Device of the training.
    """
    is_segmentation = survey.module.kind == "segmentation"
    task = (choose_segmentation if is_segmentation else choose_classification)(survey, machine)
    batch = _batch_size(survey.sizes["train"], task, machine)
    options = [Setting(key, value, survey.reasons.get(key, "")) for key, value in survey.options.items()]
    if survey.group:
        reason = "if the beginnings of the names are videos or patients, keep the images of each in one split by"
        options.append(Setting("group", survey.group, reason, is_active=False))
    return Choices(
        base=[f"configs/data/{_data_block(survey)}.yaml", f"configs/net/{task.net.block}.yaml"],
        task=_task(survey),
        model=[task.net.setting, *task.model],
        data=[*options, *(setting for setting in (batch, *task.data) if setting.key not in survey.options)],
        trainer=[_epochs(survey.sizes["train"] // batch.value, machine)],
    )


def _data_block(survey: Survey) -> str:
    """Return the name of the block of the data."""
    return "image_labels" if "label_columns" in survey.options else _BLOCKS[survey.module]


def _task(survey: Survey) -> Setting | None:
    """Return the task of classes that may overlap; None if they exclude each other."""
    if survey.overlap is None:
        return None
    is_segmentation = survey.module.kind == "segmentation"
    prefix, unit = "Binary" if len(survey.classes) == 1 else "Multilabel", "pixels" if is_segmentation else "images"
    reason = f"each class is there or not by itself, since {survey.overlap:.1%} of the {unit} with a class have several"
    if not survey.overlap:
        reason = (
            f"each class is there or not by itself; {unit} never have several here, so that data with one class of "
            f"each would do, too: configs/data/{'mask_folder' if is_segmentation else 'image_folder'}.yaml"
        )
    return Setting("class_path", f"{prefix}{'Segmentation' if is_segmentation else 'Classification'}Task", reason)


def _batch_size(images: int, task: TaskChoices, machine: Machine) -> Setting:
    """Return the largest power of two that memory and number of images allow."""
    height, width = task.size
    limits = {
        "the usual size": task.largest_batch,
        "memory": int(machine.memory * _MEMORY_SHARE / (4 * task.net.floats * height * width)),
        "the number of images": max(min(images, 2), images // 4),
    }
    reason, limit = min(limits.items(), key=lambda item: item[1])
    return Setting(
        "batch_size", 2 ** int(np.log2(max(limit, 1))), f"images per step, limited by {reason}, on {machine}"
    )


def _epochs(steps: int, machine: Machine) -> Setting:
    """Return the number of epochs."""
    target = _GPU_STEPS if machine.is_gpu else _CPU_STEPS
    epochs = int(np.clip(round(target / max(steps, 1)), _FEWEST_EPOCHS, _MOST_EPOCHS))
    reason = f"{epochs * steps:,} steps; give more while the validation score still rises at the end"
    return Setting("max_epochs", epochs, reason)
