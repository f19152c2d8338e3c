"""Inference configuration: whole images or windows, with test-time augmentation or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.inference.augmentation import AUGMENTATIONS, SCALES, mean_probabilities
from lightseg.inference.windows import Block, ReadRows, slide

Forward = Callable[[Tensor], Tensor]

OVERLAP = 0.25
"""Default of `InferenceConfig.overlap`."""


@dataclass(frozen=True)
class InferenceConfig:
    """Protocol of inference; recorded beside scores, since scores of different protocols do not compare.

    The logits of an image are equal, on one device and in one precision,

    * to the last bit: by `Task.predict` and in an evaluation with `data.batch_size: 1`, in every protocol; in windows
      that cover the image and without windows; in smaller windows alone and in a batch with other images;
    * to rounding, 1e-5 of the largest: without windows alone and in a batch with other images, since libraries add up
      in another order there; in smaller windows and without windows, at pixels whose distance to the windows' borders
      inside the image exceeds the receptive field;
    * not: in smaller windows and without windows, nearer to these borders.

    Attributes:
        window: Side of the square windows in pixels; an image that is not larger is processed in one piece. None: every
            image is processed in one piece.
        overlap: Share of a window that the next one covers too, 0 to below 1. In it the two are blended, each with a
            weight that is 0 at its own border; with 0 there are seams.
        tta: Test-time augmentations, of which all combinations are averaged as probabilities: `flip` (also mirrored
            left to right), `scale` (also at 0.75 and 1.25 of the size), `shift` (half of it also moved by a pixel, up
            and to the left or down and to the right; for classification). The logits are log-probabilities then. Each
            window is augmented by itself.

    Raises:
        ConfigError: If an option is out of range; the message names it.
    """

    window: int | None = None
    overlap: float = OVERLAP
    tta: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.window is None or self.window >= 1, f"window: must be 1 or more pixels, got {self.window}")
        require(
            0 <= self.overlap < 1,
            f"overlap: must be a share of a window, 0 or more and below 1, got {self.overlap}",
        )
        for name in self.tta:
            if name not in AUGMENTATIONS:
                raise ConfigError(f"tta: no augmentation '{name}'{did_you_mean(name, AUGMENTATIONS, 9)}")

    @classmethod
    def of(
        cls, window: int | None = None, overlap: float | None = None, tta: str | Sequence[str] = ()
    ) -> InferenceConfig:
        """Return the protocol of options in the form of the command line: `tta` may be one text, `flip,scale`.

        Raises:
            ConfigError: If an option is out of range; the message names it.
        """
        names = tta.split(",") if isinstance(tta, str) else tta
        return cls(
            window, OVERLAP if overlap is None else overlap, tuple(sorted({name.strip() for name in names} - {""}))
        )

    @property
    def view(self) -> str:
        """Return a description of the views of an image."""
        regions = "whole images"
        if self.window is not None:
            regions = f"windows of {self.window} pixels that overlap by {self.overlap:g}"
        scales = ", ".join(f"{scale:g}" for scale in SCALES)
        descriptions = {"flip": "mirrored", "scale": f"at the scales {scales}", "shift": "shifted by a pixel"}
        augmentations = "".join(f", {descriptions[name]}" for name in self.tta)
        return f"{regions}{augmentations}{', averaged' if augmentations else ''}"

    def __str__(self) -> str:
        """Return the description that is recorded beside a score."""
        return f"{self.view}, scored at the size of their ground truth"

    def logits(self, net: Forward, images: Tensor, multilabel: bool = False) -> Tensor:
        """Return float32 logits of a batch of images of one size, at that size.

        With windows each image is processed by itself, so that its logits do not depend on the others of its batch.

        Args:
            net: Turns `(N, C, H, W)` images into logits `(N, K, H, W)`, or `(N, K)` of a classifier.
            images: `(N, C, H, W)` uint8, or float on the 0..1 scale.
            multilabel: Whether classes may overlap.

        Returns:
            `(N, K, H, W)` or `(N, K)`; with `tta`, log-probabilities, or log-odds of classes that may overlap.

        Raises:
            ConfigError: If windows are used with a classifier.
        """
        size = images.shape[2], images.shape[3]
        if self.is_whole(size):
            return self._to_logits(self._augmented(net, multilabel)(images).float(), multilabel)
        return torch.stack([self._assemble(net, image, size, multilabel) for image in images])

    def is_whole(self, size: tuple[int, int]) -> bool:
        """Return whether an image of a height and width is processed in one piece."""
        return self.window is None or max(size) <= self.window

    def blocks(
        self,
        net: Forward,
        read_rows: ReadRows,
        size: tuple[int, int],
        batch: int | None = None,
        multilabel: bool = False,
    ) -> Iterator[Block]:
        """Yield the logits of an image of any size, block by block, in bounded memory; see `windows.slide`."""
        if self.window is None or self.is_whole(size):
            yield 0, 0, self.logits(net, read_rows(0, size[0])[None], multilabel)[0]
            return
        augmented = self._augmented(net, multilabel)
        for top, x, sums in slide(augmented, read_rows, size, self.window, self.overlap, batch):
            yield top, x, self._to_logits(sums, multilabel)

    def _assemble(self, net: Forward, image: Tensor, size: tuple[int, int], multilabel: bool) -> Tensor:
        logits: Tensor | None = None
        for top, x, block in self.blocks(net, lambda first, last: image[:, first:last], size, multilabel=multilabel):
            if logits is None:
                logits = block.new_empty(len(block), *size)
            logits[:, top : top + block.shape[1], x : x + block.shape[2]] = block
        assert logits is not None, "an image has at least one window"
        return logits

    def _augmented(self, net: Forward, multilabel: bool) -> Forward:
        return (lambda images: mean_probabilities(net, images, self.tta, multilabel)) if self.tta else net

    def _to_logits(self, values: Tensor, multilabel: bool) -> Tensor:
        if not self.tta:
            return values
        limits = torch.finfo(values.dtype)
        return values.logit(limits.eps) if multilabel else values.clamp_min(limits.tiny).log()
