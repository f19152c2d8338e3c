"""Heads: modules that map the feature maps of an encoder to logits.

The constructors take `(num_classes, levels, width)`; `linear` has no width. The maps are `(N, C, H, W)` each, from the
finest to the coarsest, and the logits `(N, num_classes, H, W)` have the sides of the finest.
"""

from typing import Any, Literal

from torch import nn

from lightseg.nets.heads.base import Levels
from lightseg.nets.heads.dpt import DPTHead
from lightseg.nets.heads.fpn import FPNHead
from lightseg.nets.heads.linear import LinearHead
from lightseg.nets.heads.mlp import MLPHead
from lightseg.nets.heads.segformer import SegFormerHead
from lightseg.nets.heads.upernet import UPerNetHead

HeadName = Literal["linear", "mlp", "fpn", "upernet", "segformer", "dpt"]

HEADS: dict[str, type[Any]] = {
    "linear": LinearHead,
    "mlp": MLPHead,
    "fpn": FPNHead,
    "upernet": UPerNetHead,
    "segformer": SegFormerHead,
    "dpt": DPTHead,
}
"""Heads by the name that a recipe has for them."""

__all__ = ("HEADS", "HeadName", "Levels", "build_head")


def build_head(name: str, num_classes: int, levels: Levels, width: int | None) -> nn.Module:
    """Build a head.

    Args:
        name: A key of `HEADS`.
        num_classes: Number of logits per pixel.
        levels: The maps of the encoder.
        width: Channels of the head; None for its default, and for a head without a width.
    """
    head: nn.Module = HEADS[name](num_classes, levels, **({} if width is None else {"width": width}))
    return head
