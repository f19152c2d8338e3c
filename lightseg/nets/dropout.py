"""Fast dropout on CPUs."""

import torch
from torch import Tensor, nn

_VALUES = 256
"""Number of values of a byte."""


class ByteDropout(nn.Dropout):
    """Dropout from one random byte per element on a CPU, for probabilities that are multiples of 1/256.

    On a CPU, `nn.Dropout` draws 53 random bits per element on a single thread, which takes a fifth of the step of a
    small net. On other devices and in compiled code this is `nn.Dropout`.

    Args:
        p: Probability of an element to be zeroed, 0 to below 1.

    Raises:
        ValueError: If `p` is 1 or not a multiple of 1/256.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        if not (p * _VALUES).is_integer() or p == 1:
            raise ValueError(f"p: must be a multiple of 1/256 below 1, got {p}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """Zero random elements of a floating-point tensor of any shape, and rescale the others."""
        if not self.training or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        # eight bytes at a time; the bounds include all 64-bit integers
        draws = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        # in the memory layout of the input, which may be channels-last
        noise = draws.view(torch.uint8).as_strided(input.shape, torch.empty_like(input).stride())
        mask = noise >= round(self.p * _VALUES)
        return input * (mask * torch.tensor(1 / (1 - self.p), dtype=input.dtype))
