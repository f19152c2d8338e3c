"""Ensemble: the mean of the probabilities of several trained tasks."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import tee
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightseg.data.data_module import ImageDataModule
from lightseg.data.types import Batch
from lightseg.errors import ConfigError, require
from lightseg.inference.bands import common_bands
from lightseg.inference.eval_transform import eval_transform_of
from lightseg.inference.inference_config import InferenceConfig
from lightseg.inference.readers import Source
from lightseg.inference.windows import Block
from lightseg.tasks.base import Task


class Ensemble(Task):
    """Trained tasks of one kind and with the same classes, whose probabilities are averaged.

    Each member keeps its normalization, its eval transforms and its temperature. The logits are logarithms of the mean
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
        super().__init__(nets, first.classes, mean=[0.0] * channels, std=[1.0] * channels, channels_last=False)
        # after that, since a task changes the memory format of its net
        nets.extend(members)
        self.members, self.names, self.kind = tuple(members), tuple(names), first.kind
        self.shares_transforms = all(_transforms(member.recipe) == _transforms(first.recipe) for member in members)
        self.recipe = first.recipe if self.shares_transforms else _without_transforms(first.recipe)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logarithms of the mean probabilities of float images on the 0..1 scale."""
        outputs = (member(images).float() for member in self.members)
        return _log_mean(self._probabilities(outputs, InferenceConfig()), len(self.members))

    def scores(self, counts: Tensor) -> dict[str, float]:
        """Return all metrics of the members' kind of task."""
        return self.members[0].scores(counts)

    def logits_at_target(self, batch: Batch) -> Tensor:
        """Return the logarithms of the mean probabilities at the size of the ground truth."""
        outputs = (self._member_logits(member, batch) for member in self.members)
        return _log_mean(self._probabilities(outputs, self.protocol), len(self.members))

    def protocol_for(self, size: tuple[int, int], protocol: InferenceConfig) -> InferenceConfig:
        """Return a protocol that fits the memory: for all members in windows if it is so for one of them."""
        protocols = (member.protocol_for(size, protocol) for member in self.members)
        return next((fitted for fitted in protocols if fitted != protocol), protocol)

    def prepared_blocks(
        self, source: Source, size: tuple[int, int], protocol: InferenceConfig, batch: int | None
    ) -> Iterator[Block]:
        """Yield the logarithms of the mean probabilities of an image; see `Predictor.prepared_blocks`."""
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
                yield top, x, _log_mean(self._probabilities(outputs, protocol, axis=0), len(streams))
        else:
            for top, bands in common_bands(streams, size):
                yield top, 0, _log_mean(self._probabilities(bands, protocol, axis=0), len(streams))

    def configure_from_data(self, data: ImageDataModule) -> None:
        """Do nothing, since the members are trained."""

    def _member_logits(self, member: Task, batch: Batch) -> Tensor:
        member.protocol = self.protocol
        image = batch["image"] if self.shares_transforms else _transformed(batch["image"], member)
        return member.logits_at_target({**batch, "image": image})

    def _probabilities(self, outputs: Iterable[Tensor], protocol: InferenceConfig, axis: int = 1) -> Iterator[Tensor]:
        """Yield the probabilities of each member's logits, with classes along an axis."""
        for member, logits in zip(self.members, outputs, strict=True):
            yield (logits / member.temperature_under(protocol)).softmax(axis)


def _log_mean(probabilities: Iterator[Tensor], count: int) -> Tensor:
    """Return the logarithm of the mean of some tensors, of which one at a time is in memory beside the sum."""
    total = next(probabilities)
    for values in probabilities:
        total = total + values
    mean = total / count
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()


def _transformed(images: Tensor, member: Task) -> Tensor:
    """Return images of a batch, changed by the eval transforms of a member."""
    transform = eval_transform_of(member.recipe, member.kind)
    if transform is None:
        return images
    # the transforms take no half precision, to which Lightning converts a batch
    arrays = (images.float() if images.is_floating_point() else images).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    changed = np.stack([transform(array, 0, 0)[0] for array in arrays])
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous().to(images)


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
    values = member.recipe.get("image_values")
    return {
        "kind": member.kind,
        "classes": list(member.classes),
        "channels": member.recipe["in_channels"],
        # as text, since NaN is not equal to itself
        "values of images": "as stored" if values is None else str(values),
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
