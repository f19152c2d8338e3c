"""Segmentation: one class per pixel."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.errors import ConfigError
from lightseg.metrics.scores import segmentation_scores
from lightseg.tasks.base import Task


class SegmentationTask(Task):
    """Task with one class per pixel; the score is mIoU. The options are those of `Task`."""

    kind: ClassVar[Literal["segmentation", "classification"]] = "segmentation"

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits `(N, K, H, W)` of normalized float images `(N, C, H, W)` of any size.

        Images are padded to the net's stride, and the logits cropped; logits of a lower resolution are upsampled
        bilinearly.

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
            raise ConfigError(
                f"{type(self.net).__name__} gives one class for each image; take UNet, FCN, SmpNet or the like"
            )
        if logits.shape[2:] != padded.shape[2:]:
            logits = F.interpolate(logits, padded.shape[2:], mode="bilinear", align_corners=False)
        return _crop(logits, height, width)

    def scores(self, counts: Tensor) -> dict[str, float]:
        """Return mIoU, pixel and mean accuracy, Dice and the IoU of each class."""
        return segmentation_scores(counts.cpu().numpy(), self.classes)


def _pad(images: Tensor, stride: int) -> Tensor:
    """Pad bottom and right by reflection, repeatedly if necessary, to multiples of the stride."""
    if stride == 1:
        return images
    height, width = images.shape[2:]
    # in this form, a tracer infers that the sides are divisible
    sides = [(size + stride - 1) // stride * stride for size in (height, width)]
    # an exported graph must hold for all sizes; torch's own reflection is faster, but reflects only once
    if not torch.compiler.is_exporting() and sides[0] < 2 * height and sides[1] < 2 * width:
        bottom, right = sides[0] - height, sides[1] - width
        return F.pad(images, (0, right, 0, bottom), mode="reflect") if bottom or right else images
    for axis, (size, side) in enumerate(zip((height, width), sides, strict=True), start=2):
        images = images.index_select(axis, _mirrored(size, side, images.device))
    return images


def _mirrored(size: int, side: int, device: torch.device) -> Tensor:
    """Return the indices that extend 0 … size - 1 to `side` by reflection at both ends, as numpy's `reflect` does."""
    # a tensor, since a tracer assumes that no size is 1, for which the period is 0
    last = torch.arange(size, device=device).amax(0)
    return last - (torch.arange(side, device=device) % (2 * last).clamp(min=1) - last).abs()


def _crop(logits: Tensor, height: int, width: int) -> Tensor:
    """Crop to the top left part; in an export a copy, since a graph would fix whether a view equals its base."""
    if not torch.compiler.is_exporting():
        return logits[..., :height, :width]
    rows, columns = (torch.arange(size, device=logits.device) for size in (height, width))
    return logits.index_select(2, rows).index_select(3, columns)
