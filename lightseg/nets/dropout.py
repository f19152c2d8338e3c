"""Dropout that costs little on a CPU."""

import torch
from torch import Tensor, nn

_VALUES = 256
"""Of a byte."""


class ByteDropout(nn.Dropout):
    """As `nn.Dropout`, for probabilities that are a whole number of 256ths; draws a byte for each number on a CPU.

    There torch draws 53 random bits for each, on one thread, which is a fifth of the step of a small net. On other
    devices and in compiled code this is torch's own.

    Args:
        p: Probability of a number to be zeroed.

    Raises:
        ValueError: If it is not a whole number of 256ths.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        if not (p * _VALUES).is_integer() or p == 1:
            raise ValueError(f"p: {p} is not a whole number of 256ths below 1")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Zero some numbers, of any shape and floating-point type, and make up for it in the others."""
        if not self.training or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        # eight at a time; the bounds are those of all 64 bits
        draws = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        # in the order of the memory, which for images is not that of the dimensions
        noise = draws.view(torch.uint8).as_strided(input.shape, torch.empty_like(input).stride())
        keep = noise >= round(self.p * _VALUES)
        return input * (keep * torch.tensor(1 / (1 - self.p), dtype=input.dtype))
