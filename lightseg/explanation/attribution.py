"""Attribution: the pixels that a class depends on, by Grad-CAM where the net has a feature map, else by gradients."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightseg.tasks import Ensemble, Task

_SIDE = 4
"""Least side of a feature map with enough positions to localize a class."""

_STEPS = 16
"""Steps of the integral of gradients."""


@dataclass(frozen=True)
class ClassTarget:
    """Class in an image, whose mean logit over a region is attributed to pixels.

    Attributes:
        task: The task.
        image: `(1, C, H, W)` float on the 0..1 scale.
        label: The class.
        region: Pixels of the mean, bool `(H, W)`; `()` for a classification.
    """

    task: Task
    image: Tensor
    label: int
    region: Tensor

    @classmethod
    def of(cls, task: Task, image: Tensor, label: int) -> ClassTarget:
        """Return the target of a class over the pixels that are predicted as it.

        Args:
            task: The task.
            image: `(1, C, H, W)` uint8, or float on the 0..1 scale.
            label: The class.
        """
        image = image.float() / 255 if image.dtype == torch.uint8 else image
        with torch.no_grad():
            prediction = task.decide(task(image))[0]
        return cls(task, image, label, prediction[label] == 1 if task.multilabel else prediction == label)

    def logit(self, images: Tensor) -> Tensor:
        """Return the mean logit of the class in variants `(N, C, H, W)` of the image, `(N,)`.

        Source: Vinogradova et al. 2020, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class
        Activation Mapping", arXiv:2002.11434.
        """
        return self._mean(self.task(images)[:, self.label])

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """Return the mean probability of the class in variants `(N, C, H, W)` of the image, `(N,)`."""
        return self._mean(self.task.probabilities(self.task(images) / self.task.temperature)[:, self.label])

    def _mean(self, values: Tensor) -> Tensor:
        return values[:, self.region].mean(1) if self.region.ndim else values


Attribution = Callable[[ClassTarget], Tensor]


def is_installed() -> bool:
    """Return whether captum, which computes the maps, is installed."""
    try:
        importlib.import_module("captum.attr")
    except ImportError:
        return False
    return True


def choose_method(task: Task, image: Tensor) -> tuple[str, Attribution]:
    """Return the name and the function of the attribution method for a net.

    Args:
        task: The task.
        image: One of its images, `(1, C, H, W)`.

    Returns:
        The name, and a function from a target to a map, `(H, W)`, which is larger at pixels with more evidence for the
        class.
    """
    if isinstance(task, Ensemble):
        # no layer is common to its members
        return "integrated gradients", _integrated_gradients
    name = find_map_layer(task.net, lambda: task(image), (image.shape[2], image.shape[3]))
    if name is None:
        return "integrated gradients", _integrated_gradients
    layer = task.net.get_submodule(name)
    return f"Grad-CAM at net.{name}", lambda target: _grad_cam(target, layer)


@torch.no_grad()
def find_map_layer(net: nn.Module, forward: Callable[[], object], size: tuple[int, int]) -> str | None:
    """Return the name of the layer with the last of the coarsest feature maps; None where features are no map.

    Args:
        net: The net. If it has an `encoder`, only layers of that are considered.
        forward: Runs the net.
        size: Height and width of the input of the net.
    """
    shapes = _output_shapes(net, forward)
    maps = [
        (shape[2] * shape[3], -position, name)
        for position, (name, shape) in enumerate(shapes)
        if _is_map(shape, size) and min(shape[2:]) >= _SIDE
    ]
    if not maps:
        return None
    _, negative, layer = min(maps)
    # a later sequence of tokens, or a map with the channels last, has more information than the map
    return None if any(_is_sequence(shape, size) for _, shape in shapes[1 - negative :]) else layer


def _output_shapes(net: nn.Module, forward: Callable[[], object]) -> list[tuple[str, tuple[int, ...]]]:
    """Return the name and the output shape of every layer, in the order of execution."""
    prefix = "encoder" if isinstance(getattr(net, "encoder", None), nn.Module) else ""
    shapes: list[tuple[str, tuple[int, ...]]] = []

    def record(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            shapes.append((name, tuple(output.shape)))

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: record(name, output))
        for name, module in net.named_modules()
        # the output of the net itself are its logits
        if name and name.startswith(prefix)
    ]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _is_map(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Return whether an output is `(N, C, h, w)` with h and w in the proportion of the image, apart from rounding."""
    if len(shape) != 4:
        return False
    strides = [full / side for full, side in zip(size, shape[2:], strict=True)]
    return min(shape[2:]) == 1 or max(strides) <= 1.25 * min(strides)


def _is_sequence(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Return whether an output is `(N, T, C)`, or `(N, h, w, C)` of a map's size, for several positions."""
    if len(shape) == 3:
        return shape[1] > 1
    is_last = len(shape) == 4 and not _is_map(shape, size) and _is_map((*shape[:1], shape[3], *shape[1:3]), size)
    return is_last and shape[1] > 1


def _grad_cam(target: ClassTarget, layer: nn.Module) -> Tensor:
    """Compute Grad-CAM at a layer, `(H, W)`.

    Source: Selvaraju et al. 2017, "Grad-CAM", arXiv:1610.02391.
    """
    from captum.attr import LayerGradCam

    cam: Any = LayerGradCam(target.logit, layer).attribute(target.image, relu_attributions=True)
    return F.interpolate(cam.detach(), target.image.shape[2:], mode="bilinear", align_corners=False)[0, 0]


def _integrated_gradients(target: ClassTarget) -> Tensor:
    """Compute integrated gradients from the mean color of the image, `(H, W)`.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365.
    """
    from captum.attr import IntegratedGradients

    mean = target.image.mean((2, 3), keepdim=True).expand_as(target.image)
    integral: Any = IntegratedGradients(target.logit)
    values: Tensor = integral.attribute(target.image, mean, n_steps=_STEPS, internal_batch_size=1)
    return values.detach().abs().sum(1)[0]
