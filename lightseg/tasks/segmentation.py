"""One class per pixel."""

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from lightseg.errors import ConfigError
from lightseg.metrics import segmentation_scores
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
        padded = _pad(images, -height % stride, -width % stride)
        logits: Tensor = self.net(padded)
        if logits.ndim != images.ndim:
            raise ConfigError(f"{type(self.net).__name__} says one class per image; take UNet, FCN, SmpNet or the like")
        if logits.shape[2:] != padded.shape[2:]:
            logits = F.interpolate(logits, padded.shape[2:], mode="bilinear", align_corners=False)
        return logits[..., :height, :width]

    def scores(self, counts: Tensor) -> dict[str, float]:
        """MIoU, pixel and mean accuracy, Dice and the IoU of every class."""
        return segmentation_scores(counts, self.classes)


def _pad(images: Tensor, bottom: int, right: int) -> Tensor:
    """Mirror the bottom and right edges; an image smaller than its padding repeats its edge instead."""
    if not bottom and not right:
        return images
    mirrored = bottom < images.shape[2] and right < images.shape[3]
    return F.pad(images, (0, right, 0, bottom), mode="reflect" if mirrored else "replicate")
