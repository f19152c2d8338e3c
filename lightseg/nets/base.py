"""Base class of the nets, with the attributes and the method that tasks use."""

from collections.abc import Iterable

from torch import Tensor, nn

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per input channel, on the 0..1 scale."""


class Net(nn.Module):
    """Base class of the nets, whose output is logits.

    Custom nets need not subclass it: any `nn.Module` with `__init__(self, num_classes, in_channels=3, ...)` is valid,
    and missing attributes have the defaults defined here.

    Attributes:
        stride: Divisor of the sides of the input; the task pads the input and crops the logits. 1: any size.
        encoder: Module for pretrained weights, which can be frozen and have its own learning rate; without any
            parameter of the head. None: the net has no encoder.
        normalization: Mean and standard deviation that the pretrained weights expect. None: the weights are random.
        grad_checkpointing: Whether parts of the net are computed once more in the backward pass.
    """

    stride: int
    encoder: nn.Module | None
    normalization: Normalization | None
    grad_checkpointing: bool

    def __init__(self) -> None:
        super().__init__()
        # set on the instance, since a class attribute would hide a submodule of the same name
        self.stride = 1
        self.encoder = None
        self.normalization = None
        self.grad_checkpointing = False

    def start_from(self, images: Iterable[Tensor]) -> None:
        """Initialize parameters from training images; by default there are none to initialize.

        It is called once when a training starts, and not when a trained net is loaded.

        Args:
            images: Training images, normalized and not augmented, `(C, H, W)` float32 each, in a reproducible random
                order; read lazily.
        """


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
