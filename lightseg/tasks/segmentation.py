"""Segmentation: one class per pixel."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.errors import ConfigError
from lightseg.metrics.scores import segmentation_scores
from lightseg.tasks.base import Task


class SegmentationTask(Task):
    """Tells which class every pixel belongs to; the score is mIoU. The options are those of `Task`."""

    kind: ClassVar[Literal["segmentation", "classification"]] = "segmentation"

    def logits(self, images: Tensor) -> Tensor:
        """`(N, C, H, W)` float of any size to `(N, K, H, W)`: padded to the net's stride, and cropped back.

        Logits at a lower resolution are brought up bilinearly.

        Raises:
            ConfigError: If the net is a classifier.
        """
        height, width = images.shape[2:]
        stride = getattr(self.net, "stride", 1)
        # a bare convolution has a stride of another meaning
        stride = stride if isinstance(stride, int) else 1
        padded = _pad(images, stride)
        logits: Tensor = self.net(padded)
        if logits.ndim != images.ndim:
            raise ConfigError(f"{type(self.net).__name__} says one class per image; take UNet, FCN, SmpNet or the like")
        if logits.shape[2:] != padded.shape[2:]:
            logits = F.interpolate(logits, padded.shape[2:], mode="bilinear", align_corners=False)
        return _crop(logits, height, width)

    def scores(self, counts: Tensor) -> dict[str, float]:
        """MIoU, pixel and mean accuracy, Dice and the IoU of every class."""
        return segmentation_scores(counts.cpu().numpy(), self.classes)


def _pad(images: Tensor, stride: int) -> Tensor:
    """Mirror the bottom and right edges until the sides are multiples of the stride, over and over if need be."""
    if stride == 1:
        return images
    height, width = images.shape[2:]
    # so written, a tracer sees that the sides can be halved
    sides = [(size + stride - 1) // stride * stride for size in (height, width)]
    # what is exported must hold for every size; torch mirrors once, and has the faster backward pass
    if not torch.compiler.is_exporting() and sides[0] < 2 * height and sides[1] < 2 * width:
        bottom, right = sides[0] - height, sides[1] - width
        return F.pad(images, (0, right, 0, bottom), mode="reflect") if bottom or right else images
    for axis, (size, side) in enumerate(zip((height, width), sides, strict=True), start=2):
        images = images.index_select(axis, _mirrored(size, side, images.device))
    return images


def _mirrored(size: int, side: int, device: torch.device) -> Tensor:
    """Indices that continue 0 … size - 1 to `side` by mirroring at both ends, as numpy's `reflect` does."""
    # a tensor, since a tracer takes for granted that no size is 1, where the period would be 0
    last = torch.arange(size, device=device).amax(0)
    return last - (torch.arange(side, device=device) % (2 * last).clamp(min=1) - last).abs()


def _crop(logits: Tensor, height: int, width: int) -> Tensor:
    """Return the top left part; in an export a copy, since it would fix whether a view is all of its base."""
    if not torch.compiler.is_exporting():
        return logits[..., :height, :width]
    rows, columns = (torch.arange(size, device=logits.device) for size in (height, width))
    return logits.index_select(2, rows).index_select(3, columns)
