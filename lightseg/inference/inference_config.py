"""Inference configuration: whole images or windows, with test-time augmentation or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.inference.augmentation import AUGMENTATIONS, SCALES, mean_probabilities
from lightseg.inference.windows import Block, Read, slide

Net = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class InferenceConfig:
    """Way of applying a net to an image; recorded beside scores, since those of other ways do not compare.

    The logits of an image are equal, on one device and in one precision,

    * to the last bit: by `Task.predict` and in an evaluation that sees the image alone (`data.batch_size: 1`), in every
      protocol; in windows that cover the image and whole; in smaller windows alone and in a batch with others;
    * to rounding, 1e-5 of the largest: whole alone and whole in a batch with others, since libraries add up in another
      order there; in smaller windows and whole, farther from the windows' borders inside the image than the net sees;
    * not: in smaller windows and whole, nearer to these borders.

    Attributes:
        window: Side of the square windows in pixels; an image that is not larger goes through whole. None: every image
            goes through whole.
        overlap: Share of a window that the next one sees again, 0 to below 1. In it the two are blended, each with a
            weight that is 0 at its own border; with 0 there are seams.
        tta: Test-time augmentations, of which all combinations are averaged as probabilities: `flip` (also mirrored
            left to right), `scale` (also at 0.75 and 1.25 of the size), `shift` (half of it also moved by a pixel, up
            and to the left or down and to the right; for classification). The logits are log-probabilities then. Under
            windows each window is augmented by itself.

    Raises:
        ConfigError: If an option has no meaning; the message names it.
    """

    window: int | None = None
    overlap: float = 0.25
    tta: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.window is None or self.window >= 1, f"window: {self.window} pixels are none; give 1 or more")
        require(0 <= self.overlap < 1, f"overlap: {self.overlap} is no share of a window; give 0 to below 1, as 0.25")
        for name in self.tta:
            if name not in AUGMENTATIONS:
                raise ConfigError(f"tta: no augmentation '{name}'{did_you_mean(name, AUGMENTATIONS, 9)}")

    @classmethod
    def of(cls, window: int | None = None, overlap: float = 0.25, tta: str | Sequence[str] = ()) -> InferenceConfig:
        """Return the protocol of some options as users give them: `tta` may be one text, `flip,scale`.

        Raises:
            ConfigError: If an option has no meaning; the message names it.
        """
        names = tta.split(",") if isinstance(tta, str) else tta
        return cls(window, overlap, tuple(sorted({name.strip() for name in names} - {""})))

    @property
    def view(self) -> str:
        """Return how images are seen, in words."""
        text = "whole images"
        if self.window is not None:
            text = f"windows of {self.window} pixels that overlap by {self.overlap:g}"
        scales = ", ".join(f"{scale:g}" for scale in SCALES)
        ways = {"flip": "mirrored", "scale": f"at the scales {scales}", "shift": "shifted by a pixel"}
        also = "".join(f", {ways[name]}" for name in self.tta)
        return f"{text}{also}{', averaged' if also else ''}"

    def __str__(self) -> str:
        """Return what is recorded beside a score."""
        return f"{self.view}, scored at the size of their ground truth"

    def logits(self, net: Net, images: Tensor) -> Tensor:
        """Float32 logits of a batch of images of one size, at that size.

        With windows each image is seen by itself, so that its logits do not depend on the others of its batch.

        Args:
            net: Turns `(N, C, H, W)` images into logits `(N, K, H, W)`, or `(N, K)` of a classifier.
            images: `(N, C, H, W)` uint8, or float on the 0..1 scale.

        Returns:
            `(N, K, H, W)` or `(N, K)`; with `tta`, log-probabilities.

        Raises:
            ConfigError: If a classifier is asked by windows.
        """
        size = images.shape[2], images.shape[3]
        if self.is_whole(size):
            return self._finish(self._seen(net)(images).float())
        return torch.stack([self._assemble(net, image, size) for image in images])

    def is_whole(self, size: tuple[int, int]) -> bool:
        """Return whether an image of a height and width is seen at once."""
        return self.window is None or max(size) <= self.window

    def blocks(self, net: Net, read_rows: Read, size: tuple[int, int], batch: int | None = None) -> Iterator[Block]:
        """Yield the logits of an image of any size, block by block, in bounded memory; see `windows.slide`."""
        if self.window is None or self.is_whole(size):
            yield 0, 0, self.logits(net, read_rows(0, size[0])[None])[0]
            return
        for top, left, sums in slide(self._seen(net), read_rows, size, self.window, self.overlap, batch):
            yield top, left, self._finish(sums)

    def _assemble(self, net: Net, image: Tensor, size: tuple[int, int]) -> Tensor:
        assembled: Tensor | None = None
        for top, left, block in self.blocks(net, lambda first, last: image[:, first:last], size):
            if assembled is None:
                assembled = block.new_empty(len(block), *size)
            assembled[:, top : top + block.shape[1], left : left + block.shape[2]] = block
        assert assembled is not None, "an image has at least one window"
        return assembled

    def _seen(self, net: Net) -> Net:
        return (lambda images: mean_probabilities(net, images, self.tta)) if self.tta else net

    def _finish(self, values: Tensor) -> Tensor:
        return values.clamp_min(torch.finfo(values.dtype).tiny).log() if self.tta else values
