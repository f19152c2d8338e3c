"""Base class of nets, and the wording of an error about a name."""

from collections.abc import Iterable

from torch import Tensor, nn

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per input channel, on the 0..1 scale."""


class Net(nn.Module):
    """Base class of the nets: logits out, and three attributes and a method with defaults.

    A net of your own need not subclass it: any `nn.Module` with `__init__(self, num_classes, in_channels=3, ...)` will
    do, and where it lacks one of them the task takes the default given here.

    Attributes:
        stride: The input's sides must be multiples of it; the task pads the input and crops the logits. 1: any size.
        encoder: The part that pretrained weights fill, that can be frozen and have its own learning rate; no parameter
            of the head is in it. None: there is no such part.
        normalization: Mean and standard deviation that the loaded weights expect. None: the weights are random.
    """

    stride: int
    encoder: nn.Module | None
    normalization: Normalization | None

    def __init__(self) -> None:
        super().__init__()
        # set here and not on the class: a class attribute would hide the submodule of the same name
        self.stride = 1
        self.encoder = None
        self.normalization = None

    def start_from(self, images: Iterable[Tensor]) -> None:
        """Set what follows from the training images instead of being learnt; by default nothing does.

        It is called when a training starts, before anything is trained and never when a trained net is loaded.

        Args:
            images: Training images, normalised and not augmented, `(C, H, W)` float32 each, in random order that is
                the same every time; read as they are asked for.
        """


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
