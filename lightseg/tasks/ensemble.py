"""Ensemble: the mean of the probabilities of several trained tasks."""

from __future__ import annotations

import copy
from abc import ABC
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import tee
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightseg.data.data_module import ImageDataModule
from lightseg.data.io.image_values import image_values
from lightseg.data.types import Batch
from lightseg.errors import ConfigError, require
from lightseg.inference.bands import common_bands
from lightseg.inference.eval_transform import eval_transform_of
from lightseg.inference.inference_config import InferenceConfig
from lightseg.inference.readers import Source
from lightseg.inference.windows import Block
from lightseg.tasks.base import Task
from lightseg.tasks.classification import ClassificationTask
from lightseg.tasks.multilabel import MultilabelClassificationTask, MultilabelSegmentationTask, MultilabelTask
from lightseg.tasks.segmentation import SegmentationTask


class Ensemble(Task, ABC):
    """Trained tasks of one kind and with the same classes, whose probabilities are averaged.

    Each member keeps its normalization, its eval transforms and its temperature. The logits are those of the mean
    probabilities, the loss is their cross-entropy, and the temperature is 1. The members run one after another; of an
    image in windows, one row of windows of each is in memory.

    The recipe is that of the first member, without `eval_transforms` if those of the members differ: an evaluation then
    reads images without any, and each member applies its own.

    Args:
        members: Two or more trained tasks.
        names: Name of each of them, for messages.

    Raises:
        ConfigError: If they differ in kind, classes, channels, or in the meaning of the values of images.
    """

    def __init__(self, members: Sequence[Task], names: Sequence[str]) -> None:
        require(len(members) > 1, "an ensemble has two or more members")
        require_agreement(members, names)
        first, nets = members[0], nn.ModuleList()
        channels = int(first.recipe["in_channels"])
        # of the next class in the order of resolution, which is that of the members' kind
        super().__init__(nets, first.classes, mean=[0.0] * channels, std=[1.0] * channels, channels_last=False)
        # after that, since a task changes the memory format of its net
        nets.extend(members)
        self.members = tuple(members)
        self.shares_transforms = all(_transforms(member.recipe) == _transforms(first.recipe) for member in members)
        self.recipe = first.recipe if self.shares_transforms else _without_transforms(first.recipe)

    def logits(self, images: Tensor) -> Tensor:
        """Return logits `(N, K, ...)` of the mean probabilities of float images `(N, C, H, W)` on the 0..1 scale."""
        return self._combine((member(images).float() for member in self.members), InferenceConfig())

    def logits_at_target(self, batch: Batch) -> Tensor:
        """Return the logits `(N, K, ...)` of the mean probabilities at the size of the ground truth."""
        return self._combine((self._member_logits(member, batch) for member in self.members), self.protocol)

    def protocol_for(self, size: tuple[int, int], protocol: InferenceConfig) -> InferenceConfig:
        """Return a protocol that fits the memory: for all members in windows if it is so for one of them."""
        protocols = (member.protocol_for(size, protocol) for member in self.members)
        return next((fitted for fitted in protocols if fitted != protocol), protocol)

    def prepared_blocks(
        self, source: Source, size: tuple[int, int], protocol: InferenceConfig, batch: int | None
    ) -> Iterator[Block]:
        """Yield the logits of the mean probabilities of an image; see `Predictor.prepared_blocks`."""
        if self.shares_transforms:
            # the members read in step: each strip is decoded once
            copies = tee(source.strips(), len(self.members))
            sources = [replace(source, strips=partial(iter, strips)) for strips in copies]
        else:
            sources = [member.prepare(source) for member in self.members]
        streams = [
            member.prepared_blocks(member_source, size, protocol, batch)
            for member, member_source in zip(self.members, sources, strict=True)
        ]
        if self.shares_transforms or self.kind == "classification":
            # one division into blocks for all
            for top, x, block in streams[0]:
                outputs = (block if stream is streams[0] else next(stream)[2] for stream in streams)
                yield top, x, self._combine(outputs, protocol, axis=0)
        else:
            for top, bands in common_bands(streams, size):
                yield top, 0, self._combine(bands, protocol, axis=0)

    def configure_from_data(self, data: ImageDataModule) -> None:
        """Do nothing, since the members are trained."""

    def _member_logits(self, member: Task, batch: Batch) -> Tensor:
        member.protocol = self.protocol
        image = batch["image"] if self.shares_transforms else _transformed(batch["image"], member)
        return member.logits_at_target({**batch, "image": image})

    def _combine(self, outputs: Iterable[Tensor], protocol: InferenceConfig, axis: int = 1) -> Tensor:
        """Return the logits of the mean probabilities of the members' logits, whose classes lie along an axis.

        One output at a time is in memory beside the sum.
        """
        total: Tensor | None = None
        for member, logits in zip(self.members, outputs, strict=True):
            probabilities = member.probabilities(logits / member.temperature_under(protocol), axis)
            total = probabilities if total is None else total + probabilities
        assert total is not None, "an ensemble has members"
        mean, limits = total / len(self.members), torch.finfo(total.dtype)
        return mean.logit(limits.eps) if self.multilabel else mean.clamp_min(limits.tiny).log()


class SegmentationEnsemble(Ensemble, SegmentationTask):
    """Ensemble of tasks with one class per pixel."""


class ClassificationEnsemble(Ensemble, ClassificationTask):
    """Ensemble of tasks with one class per image."""


class MultilabelSegmentationEnsemble(Ensemble, MultilabelSegmentationTask):
    """Ensemble of tasks with any number of classes per pixel.

    The thresholds are the means of those of the members, as probabilities at their temperatures; with test-time
    augmentation too, which has no temperature.
    """


class MultilabelClassificationEnsemble(Ensemble, MultilabelClassificationTask):
    """Ensemble of tasks with any number of classes per image; the thresholds are as in the one for pixels."""


_CLASSES: dict[tuple[str, bool], type[Ensemble]] = {
    ("segmentation", False): SegmentationEnsemble,
    ("classification", False): ClassificationEnsemble,
    ("segmentation", True): MultilabelSegmentationEnsemble,
    ("classification", True): MultilabelClassificationEnsemble,
}


def make_ensemble(members: Sequence[Task], names: Sequence[str]) -> Ensemble:
    """Return the ensemble of some tasks; see `Ensemble`."""
    ensemble = _CLASSES[members[0].kind, members[0].multilabel](members, names)
    average_thresholds(ensemble, members, calibrated=True)
    return ensemble


def average_thresholds(task: Task, members: Sequence[Task], calibrated: bool = False) -> None:
    """Set the thresholds of a task whose classes may overlap to the means of those of others.

    Args:
        task: The task; another than one with overlapping classes is unchanged.
        members: The others.
        calibrated: Average the thresholds as probabilities at the temperatures of the members.
    """
    thresholds = [
        member.thresholds_at(member.temperature if calibrated else 1)
        for member in members
        if isinstance(member, MultilabelTask)
    ]
    if isinstance(task, MultilabelTask):
        task.set_thresholds(np.mean(thresholds, axis=0).tolist())


def _transformed(images: Tensor, member: Task) -> Tensor:
    """Return images of a batch, changed by the eval transforms of a member."""
    transform = eval_transform_of(member.recipe, member.kind)
    if transform is None:
        return images
    # the transforms take no half precision, to which Lightning converts a batch
    arrays = (images.float() if images.is_floating_point() else images).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    changed = np.stack([transform(array, 0, 0)[0] for array in arrays])
    # of the type that the transform returns: floats are on another scale than bytes
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous().to(images.device)


def require_agreement(members: Sequence[Task], names: Sequence[str]) -> None:
    """Check that tasks predict the same classes from the same images.

    Raises:
        ConfigError: If two of them differ in kind, classes, channels, or in the meaning of the values of images.
    """
    first = _signature(members[0])
    for member, name in zip(members[1:], names[1:], strict=True):
        for key, value in _signature(member).items():
            if value != first[key]:
                raise ConfigError(
                    f"{name}: {key} {_text(value)}, but {_text(first[key])} in {names[0]}; leave one of them out"
                )


def _signature(member: Task) -> dict[str, Any]:
    """Return what must be equal in all members, by its name in messages."""
    return {
        "kind": f"{'multi-label ' if member.multilabel else ''}{member.kind}",
        "classes": list(member.classes),
        "channels": member.recipe["in_channels"],
        # as text, since NaN is not equal to itself
        "values of images": str(image_values(member.recipe).to_record()),
    }


def _text(value: Any) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)


def _transforms(recipe: dict[str, Any]) -> Any:
    data = recipe.get("config", {}).get("data") or {}
    return (data.get("init_args") or {}).get("eval_transforms") or None


def _without_transforms(recipe: dict[str, Any]) -> dict[str, Any]:
    recipe = copy.deepcopy(recipe)
    # a recipe without data has no transforms
    if data := recipe["config"].get("data"):
        data["init_args"] = {**(data.get("init_args") or {}), "eval_transforms": None}
    return recipe
