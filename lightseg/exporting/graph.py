"""Exported graph from uint8 images to probabilities and classes, and its tracing."""

import copy
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lightseg.errors import UserError
from lightseg.tasks import Task

OUTPUTS = ("probabilities", "classes")
SIDES = (89, 157)
"""Height and width of traced images: primes, since the tracer generalizes from properties of the sides."""


class InferenceGraph(nn.Module):
    """Inference module from uint8 images to probabilities and classes, with normalization, padding and resizing inside.

    Args:
        task: A trained task.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.temperature = task.eval(), task.temperature

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Predict probabilities and classes.

        Args:
            image: `(N, C, H, W)` uint8, not normalized.

        Returns:
            Probabilities `(N, K, H, W)` float32 and classes `(N, H, W)` uint8; for classification `(N, K)` and `(N,)`.
            Of classes that may overlap, the latter are 1 where a class is, in the shape of the probabilities.
        """
        logits = self.task(image).float()
        return self.task.probabilities(logits / self.temperature), self.task.decide(logits).to(torch.uint8)


@dataclass(frozen=True)
class Traced:
    """Traced graph that runs without Python code.

    Attributes:
        program: The program, with the input `image` and the outputs `OUTPUTS`.
        size: The only height and width that it accepts; None for any.
        smallest: Least height and width that `torch.export` accepts if the size is not fixed.
    """

    program: ExportedProgram
    size: tuple[int, int] | None
    smallest: tuple[int, int]


@torch.no_grad()
def trace(task: Task, size: Sequence[int]) -> Traced:
    """Trace a task for any batch size, and for any image size if its net accepts them.

    Args:
        task: A trained task on the CPU; it is not modified.
        size: Height and width of its images, for a net that accepts no others.

    Raises:
        UserError: If the net cannot be traced.
    """
    channels = len(task.resolved["mean"])
    graph = InferenceGraph(_prepare(task))

    def export(sides: Sequence[int], dynamic: dict[int, Any]) -> ExportedProgram:
        # a batch of 2, since the tracer would take a size of 1 for a constant
        image = torch.zeros(2, channels, *sides, dtype=torch.uint8)
        return _export(graph, image, dynamic)

    # without the padding of segmentation, formulas of the size are too long to trace
    if takes_any_size(task) and (task.kind == "segmentation" or not _same_convolutions(task)):
        program = export(SIDES, {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC})
        return Traced(program, None, _smallest_size(program))
    height, width = size
    return Traced(export((height, width), {0: Dim.DYNAMIC}), (height, width), (height, width))


def _export(graph: InferenceGraph, image: Tensor, dynamic: dict[int, Any]) -> ExportedProgram:
    program, reason = None, ""
    try:
        program = torch.export.export(graph, (image,), dynamic_shapes={"image": dynamic})
    except Exception as error:  # tracers raise arbitrary exceptions
        reason = " ".join(str(error).split())[:200]
    # removes temporary subclasses of the task's class, which the lookup of a later recipe would find
    gc.collect()
    if program is None:
        net = type(graph.task.net).__name__
        raise UserError(f"{net} cannot be traced ({reason}); --format safetensors takes every net")
    return program


@torch.no_grad()
def takes_any_size(task: Task) -> bool:
    """Return whether a net accepts any image size, by trying two sizes."""
    images = (torch.zeros(2, len(task.resolved["mean"]), *sides, dtype=torch.uint8) for sides in (SIDES, SIDES[::-1]))
    try:
        for image in images:
            task(image)
    # nets of different libraries refuse a size by different exceptions
    except Exception:
        return False
    return True


def _prepare(task: Task) -> Task:
    """Return a copy with contiguous weights, attention that ONNX has, and for segmentation constant padding.

    `Conv2dSame` of timm computes its padding from its input's size. A segmentation task pads images to multiples of the
    stride, so that this padding is constant; left symbolic, it would take the tracer hours to simplify.
    """
    from timm.models.hiera import MaskUnitAttention
    from timm.models.maxxvit import AttentionCl

    task = copy.deepcopy(task)
    attentions: list[Any] = [module for module in task.modules() if isinstance(module, MaskUnitAttention | AttentionCl)]
    for attention in attentions:
        # ONNX has no fused attention of five dimensions, and that of MaxViT changes the layout of its output
        attention.fused_attn = False
    for parameter in task.parameters():
        parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
    names = _same_convolutions(task) if task.kind == "segmentation" else []
    for name in names:
        convolution: Any = task.get_submodule(name)
        padding: list[int] = []
        for axis in (1, 0):
            reach = convolution.dilation[axis] * (convolution.kernel_size[axis] - 1)
            total = max(reach + 1 - convolution.stride[axis], 0)
            padding += [total // 2, total - total // 2]
        # the base class, which does not compute padding
        plain = copy.copy(convolution)
        plain.__class__ = nn.Conv2d
        task.set_submodule(name, nn.Sequential(nn.ZeroPad2d((padding[0], padding[1], padding[2], padding[3])), plain))
    return task


def _same_convolutions(task: Task) -> list[str]:
    """Return the names of timm's convolutions with TensorFlow's padding."""
    from timm.layers import Conv2dSame

    return [name for name, module in task.named_modules() if isinstance(module, Conv2dSame)]


def _smallest_size(program: ExportedProgram) -> tuple[int, int]:
    """Return the least height and width that a program accepts."""
    shape = next(node for node in program.graph.nodes if node.name == "image").meta["val"].shape
    least = [int(program.range_constraints[side.node.expr].lower) for side in shape[2:]]
    return least[0], least[1]
