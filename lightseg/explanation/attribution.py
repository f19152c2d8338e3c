"""Attribution: the pixels that a class depends on, by Grad-CAM where the net has a feature map, else by gradients."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from lightseg.tasks import Task

_SIDE = 4
"""A map of fewer positions than this along a side says too little of places."""

_STEPS = 16
"""Steps of the integral of gradients."""


@dataclass(frozen=True)
class Question:
    """Question to a net: how much of a class is there in an image?

    Attributes:
        task: Who is asked.
        image: `(1, C, H, W)` float on the 0..1 scale.
        label: The class.
        where: The pixels that are said to be of the class, bool `(H, W)`, over which its score is a mean; `()` and true
            for a classification.
    """

    task: Task
    image: Tensor
    label: int
    where: Tensor

    @classmethod
    def ask(cls, task: Task, image: Tensor, label: int) -> Question:
        """Return the question about the pixels that a task says the class is at.

        Args:
            task: Who is asked.
            image: `(1, C, H, W)` uint8, or float on the 0..1 scale.
            label: The class.
        """
        image = image.float() / 255 if image.dtype == torch.uint8 else image
        with torch.no_grad():
            return cls(task, image, label, task(image)[0].argmax(0) == label)

    def logit(self, images: Tensor) -> Tensor:
        """Mean logit of the class in some variants of the image, `(N,)`.

        Source: Vinogradova et al. 2020, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class
        Activation Mapping", arXiv:2002.11434.
        """
        return self._mean(self.task(images)[:, self.label])

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """Mean probability of the class in some variants of the image, `(N,)`."""
        return self._mean((self.task(images) / self.task.temperature).softmax(1)[:, self.label])

    def _mean(self, values: Tensor) -> Tensor:
        return values[:, self.where].mean(1) if self.where.ndim else values


Attribution = Callable[[Question], Tensor]


def is_installed() -> bool:
    """Return whether captum is there, which computes the maps."""
    try:
        importlib.import_module("captum.attr")
    except ImportError:
        return False
    return True


def method(task: Task, image: Tensor) -> tuple[str, Attribution]:
    """Return how a net's attributions are computed: what it is called, and the function.

    Args:
        task: The task.
        image: One of its images, `(1, C, H, W)`.

    Returns:
        The name, and what turns a question into a map, `(H, W)`: the larger, the more a place speaks for the class.
    """
    name = map_layer(task.net, lambda: task(image), (image.shape[2], image.shape[3]))
    if name is None:
        return "integrated gradients", _integrated_gradients
    layer = task.net.get_submodule(name)
    return f"Grad-CAM at net.{name}", lambda question: _grad_cam(question, layer)


@torch.no_grad()
def map_layer(net: nn.Module, ask: Callable[[], object], size: tuple[int, int]) -> str | None:
    """Return the name of the layer with the last of the coarsest feature maps; None where features are no map.

    Args:
        net: The net. Of one that has an `encoder`, only that is looked at.
        ask: Runs it.
        size: Height and width of what it is run on.
    """
    within = "encoder" if isinstance(getattr(net, "encoder", None), nn.Module) else ""
    shapes: list[tuple[str, tuple[int, ...]]] = []

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            shapes.append((name, tuple(output.shape)))

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in net.named_modules()
        # what the net gives itself are its logits
        if name and name.startswith(within)
    ]
    try:
        ask()
    finally:
        for hook in hooks:
            hook.remove()
    maps = [
        (shape[2] * shape[3], -at, name)
        for at, (name, shape) in enumerate(shapes)
        if _is_map(shape, size) and min(shape[2:]) >= _SIDE
    ]
    if not maps:
        return None
    _, negative, layer = min(maps)
    # what comes behind it as tokens, or with the channels last, knows more than the map
    return None if any(_is_sequence(shape, size) for _, shape in shapes[1 - negative :]) else layer


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


def _grad_cam(question: Question, layer: nn.Module) -> Tensor:
    """Source: Selvaraju et al. 2017, "Grad-CAM", arXiv:1610.02391."""
    from captum.attr import LayerGradCam

    cam: Any = LayerGradCam(question.logit, layer).attribute(question.image, relu_attributions=True)
    return F.interpolate(cam.detach(), question.image.shape[2:], mode="bilinear", align_corners=False)[0, 0]


def _integrated_gradients(question: Question) -> Tensor:
    """Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365; from the mean."""
    from captum.attr import IntegratedGradients

    mean = question.image.mean((2, 3), keepdim=True).expand_as(question.image)
    integral: Any = IntegratedGradients(question.logit)
    values: Tensor = integral.attribute(question.image, mean, n_steps=_STEPS, internal_batch_size=1)
    return values.detach().abs().sum(1)[0]
