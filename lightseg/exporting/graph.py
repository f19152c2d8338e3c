"""Graph to export: from bytes to probabilities and classes."""

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
"""Height and width of the images that are traced: primes, since what happens to hold for them is taken for a rule."""


class InferenceGraph(nn.Module):
    """Module from uint8 images to probabilities and classes: normalization, padding, cropping and upsampling inside.

    Args:
        task: A trained task.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.temperature = task.eval(), task.temperature

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            image: `(N, C, H, W)` uint8, as it is in the file.

        Returns:
            Probabilities `(N, K, H, W)` float32, and classes `(N, H, W)` uint8, as mask files have them; of a
            classification `(N, K)` and `(N,)`.
        """
        logits = self.task(image).float()
        return torch.softmax(logits / self.temperature, 1), logits.argmax(1).to(torch.uint8)


@dataclass(frozen=True)
class Traced:
    """Graph that needs no Python code any more.

    Attributes:
        program: It takes `image`, and gives `OUTPUTS`.
        size: The only height and width that it takes; None for any.
        smallest: The least height and width that `torch.export` lets pass where the size is not fixed.
    """

    program: ExportedProgram
    size: tuple[int, int] | None
    smallest: tuple[int, int]


@torch.no_grad()
def trace(task: Task, size: Sequence[int]) -> Traced:
    """Trace a task for any batch size, and for images of any size where its net takes them.

    Args:
        task: A trained task, on the CPU; left as it is.
        size: Height and width of its images, for a net that takes no others.

    Raises:
        UserError: If its net does what no graph can hold.
    """
    channels = len(task.resolved["mean"])
    graph = InferenceGraph(_prepared(task))

    def export(sides: Sequence[int], dynamic: dict[int, Any]) -> ExportedProgram:
        # of two, since a batch of one would be taken for a constant
        image = torch.zeros(2, channels, *sides, dtype=torch.uint8)
        return _export(graph, image, dynamic)

    # a formula of a size that no task has made a multiple of the stride is too long to trace
    if takes_any_size(task) and (task.kind == "segmentation" or not _same_convolutions(task)):
        program = export(SIDES, {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC})
        return Traced(program, None, _smallest(program))
    height, width = size
    return Traced(export((height, width), {0: Dim.DYNAMIC}), (height, width), (height, width))


def _export(graph: InferenceGraph, image: Tensor, dynamic: dict[int, Any]) -> ExportedProgram:
    program, reason = None, ""
    try:
        program = torch.export.export(graph, (image,), dynamic_shapes={"image": dynamic})
    except Exception as error:  # tracers raise what they like
        reason = " ".join(str(error).split())[:200]
    # subclasses of the task's class that torch made for itself, which a later recipe could be taken to mean
    gc.collect()
    if program is None:
        net = type(graph.task.net).__name__
        raise UserError(f"{net} cannot be traced ({reason}); --format safetensors takes every net")
    return program


@torch.no_grad()
def takes_any_size(task: Task) -> bool:
    """Try it: nets say nothing of the sizes that they take."""
    images = (torch.zeros(2, len(task.resolved["mean"]), *sides, dtype=torch.uint8) for sides in (SIDES, SIDES[::-1]))
    try:
        for image in images:
            task(image)
    # nets, and the libraries that they come from, have no one way to refuse a size
    except Exception:
        return False
    return True


def _prepared(task: Task) -> Task:
    """Return a copy whose weights are in the memory order of files, and whose padding is fixed where it can be.

    timm's convolutions in the manner of TensorFlow pad by a formula of their input's size. The sides of all maps are
    multiples of the strides, as a task has padded the image, and so it always gives the same; but each layer would add
    to the formula, which soon takes hours to simplify.
    """
    task = copy.deepcopy(task)
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
        # what it inherits from, without padding of its own
        plain = copy.copy(convolution)
        plain.__class__ = nn.Conv2d
        task.set_submodule(name, nn.Sequential(nn.ZeroPad2d((padding[0], padding[1], padding[2], padding[3])), plain))
    return task


def _same_convolutions(task: Task) -> list[str]:
    """Return the names of timm's convolutions with the padding of TensorFlow."""
    from timm.layers import Conv2dSame

    return [name for name, module in task.named_modules() if isinstance(module, Conv2dSame)]


def _smallest(program: ExportedProgram) -> tuple[int, int]:
    shape = next(node for node in program.graph.nodes if node.name == "image").meta["val"].shape
    least = [int(program.range_constraints[side.node.expr].lower) for side in shape[2:]]
    return least[0], least[1]
