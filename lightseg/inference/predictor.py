"""Predictor: predictions of a task, in an evaluation and of any image of a user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from lightseg.data.io.image_values import image_values
from lightseg.data.types import Batch
from lightseg.inference.eval_transform import eval_transform_of
from lightseg.inference.image_input import as_source
from lightseg.inference.inference_config import OVERLAP, InferenceConfig
from lightseg.inference.readers import LARGE, RowReader, Source, source_from_array
from lightseg.inference.resizing import resize_in_blocks
from lightseg.inference.windows import Block, most_likely
from lightseg.labels import IGNORE

ClassMap = npt.NDArray[np.uint8]
"""Class ids `(H, W)`; of classes that may overlap, 0 and 1, `(K, H, W)` or `(K,)`."""

WINDOW = 512
"""Default side of the windows, in pixels, for images of more than `LARGE` pixels."""


@dataclass(frozen=True)
class Prediction:
    """Prediction of a task for one image.

    Attributes:
        classes: The class of every pixel, `(H, W)` uint8, void (255) where the image has no data; of a classification,
            the class of the image; of classes that may overlap, whether each is there, `(K, H, W)` or `(K,)` uint8.
        logits: `(K, H, W)` float32 at the image's own size, or `(K,)`; log-probabilities with test-time augmentation.
        temperature: Divisor of the logits before the softmax or the sigmoid: that of the task, but 1 with test-time
            augmentation, without which it was measured.
        multilabel: Whether classes may overlap.
    """

    classes: ClassMap | int
    logits: npt.NDArray[np.float32]
    temperature: float = 1.0
    multilabel: bool = False

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Return the probability of each class, `(K, H, W)` or `(K,)` float32 in 0..1."""
        logits = torch.from_numpy(self.logits) / self.temperature
        probabilities: npt.NDArray[np.float32] = (logits.sigmoid() if self.multilabel else logits.softmax(0)).numpy()
        return probabilities

    @property
    def uncertainty(self) -> npt.NDArray[np.float32]:
        """Return the entropy of the probabilities, normalized to 0..1: `(H, W)`, or `()`.

        Of classes that may overlap, it is the mean of their entropies.
        """
        probabilities = torch.from_numpy(self.probabilities)
        if self.multilabel:
            entropy = (torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)).mean(0) / np.log(2)
        else:
            entropy = torch.special.entr(probabilities).sum(0) / np.log(len(probabilities))
        uncertainty: npt.NDArray[np.float32] = entropy.clamp(0, 1).numpy()
        return uncertainty


class Predictor(L.LightningModule):
    """Prediction interface of a task."""

    kind: ClassVar[Literal["segmentation", "classification"]]
    multilabel: ClassVar[bool] = False
    """Whether classes may overlap."""
    classes: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.protocol = InferenceConfig()
        """Windows and test-time augmentation of an evaluation."""
        self.temperature = 1.0
        """Divisor of the logits before the softmax or the sigmoid; measured by `evaluate --calibrate`."""
        self.recipe: dict[str, Any] = {}
        """Plain data to rebuild this task without its run; written into every checkpoint."""

    def logits_at_target(self, batch: Batch) -> Tensor:
        """Return logits `(N, K, ...)` float32 at the size of the ground truth, which itself is never resized."""
        # compiled code rounds differently: a score must be that of the net which `load` returns
        with torch.compiler.set_stance("force_eager"):
            logits = self.protocol.logits(self, batch["image"], self.multilabel)
        size = batch["target"].shape[-2:] if self.kind == "segmentation" else ()
        if logits.shape[2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        return logits

    def probabilities(self, logits: Tensor, axis: int = 1) -> Tensor:
        """Return the probabilities of logits, float of the same shape, whose classes lie along an axis."""
        return logits.softmax(axis)

    def decide(self, logits: Tensor) -> Tensor:
        """Return the predicted class ids, `(N, ...)` int64, of logits `(N, K, ...)`."""
        return logits.argmax(1)

    def decide_block(self, block: Tensor) -> ClassMap:
        """Return the prediction `(h, w)` uint8 of the logits `(K, h, w)` of a part of an image, on the CPU."""
        return most_likely(block)

    def predict(
        self,
        image: str | Path | Image.Image | npt.NDArray[Any] | Tensor,
        window: int | None = None,
        overlap: float = OVERLAP,
        tta: str | Sequence[str] = (),
        details: bool = False,
    ) -> ClassMap | int | Prediction:
        """Return the class of every pixel of an image of any size, or of the image itself for a classification.

        The image is prepared as in an evaluation, and the logits are those of an evaluation and of the training
        process: to the last bit on the same device after a training in float32; after one in mixed precision, within
        the same `torch.autocast`.

        Args:
            image: A file, a PIL image, an array `(H, W)` or `(H, W, C)`, or a tensor `(C, H, W)`; RGB, uint8 or float
                on the 0..1 scale.
            window: Side of the square windows in pixels for larger images; None: no windows.
            overlap: Share of a window that the next one covers too.
            tta: Test-time augmentations, `flip` and `scale`; see `InferenceConfig`.
            details: Return a `Prediction` with the logits.

        Returns:
            `(H, W)` uint8 at the image's own size, void (255) where the image has no data, or the class id; of classes
            that may overlap, `(K, H, W)` or `(K,)` uint8, 1 where a class is; with `details`, a `Prediction`.

        Raises:
            DataError: If the image cannot be read or has other channels than the net.
            ConfigError: If an option is out of range.
        """
        protocol = InferenceConfig.of(window, overlap, tta)
        source = as_source(image, self.recipe.get("in_channels", 3), image_values(self.recipe))
        blocks = self.predict_blocks(source, protocol)
        classes: ClassMap | int
        logits: npt.NDArray[np.float32] | None
        if self.kind == "classification":
            classes, logits = self._predict_label(next(blocks)[2])
        else:
            classes, logits = self._predict_map(source, blocks, details)
        if logits is None or not details:
            return classes
        return Prediction(classes, logits, self.temperature_under(protocol), self.multilabel)

    def _predict_label(self, block: Tensor) -> tuple[ClassMap | int, npt.NDArray[np.float32]]:
        """Return the class of an image, and its logits `(K,)`."""
        labels = self.decide(block[None])[0].cpu()
        return labels.numpy() if self.multilabel else int(labels), block.cpu().numpy()

    def _predict_map(
        self, source: Source, blocks: Iterator[Block], details: bool
    ) -> tuple[ClassMap, npt.NDArray[np.float32] | None]:
        """Return the class of every pixel, and the logits `(K, H, W)` if `details` asks for them."""
        classes: ClassMap | None = None
        logits: npt.NDArray[np.float32] | None = None
        for top, x, block in blocks:
            region = slice(top, top + block.shape[1]), slice(x, x + block.shape[2])
            part = self.decide_block(block)
            classes = np.empty((*part.shape[:-2], *source.size), np.uint8) if classes is None else classes
            classes[..., *region] = part
            if details:
                logits = np.empty((len(block), *source.size), np.float32) if logits is None else logits
                logits[:, *region] = block.cpu().numpy()
        assert classes is not None, "an image has at least one block"
        if source.missing_strips is not None:
            classes[..., np.concatenate(list(source.missing_strips()))] = IGNORE
        return classes, logits

    def temperature_under(self, protocol: InferenceConfig) -> float:
        """Return the divisor of logits before the softmax; 1 with test-time augmentation."""
        return 1.0 if protocol.tta else self.temperature

    def protocol_for(self, size: tuple[int, int], protocol: InferenceConfig) -> InferenceConfig:
        """Return a protocol that fits the memory: windows of 512 pixels for an image of more than `LARGE`.

        The protocol is unchanged if it has windows, if the recipe resizes every image, and for a classification.
        """
        transform = eval_transform_of(self.recipe, self.kind)
        height, width = size
        is_whole = protocol.window is None and not (transform and transform.resizes) and self.kind == "segmentation"
        return replace(protocol, window=WINDOW) if is_whole and height * width > LARGE else protocol

    def predict_blocks(self, source: Source, protocol: InferenceConfig, batch: int | None = None) -> Iterator[Block]:
        """Yield the logits of an image at its own size, block by block; under windows, in bounded memory.

        Args:
            source: The image.
            protocol: Windows and test-time augmentation.
            batch: Number of windows in one forward pass; see `windows.slide`.

        Yields:
            Top, left, and logits `(K, h, w)` float32 on the task's device, row by row and from left to right; of a
            classification, one block `(K,)`.
        """
        blocks = self.prepared_blocks(self.prepare(source), source.size, protocol, batch)
        while True:
            # not around the loop: between two blocks the caller has the task and torch in its own modes
            with torch.inference_mode(), _eval_mode(self):
                block = next(blocks, None)
            if block is None:
                return
            yield block

    def prepare(self, source: Source) -> Source:
        """Return an image as the net takes it, changed by the eval transforms of the recipe."""
        transform = eval_transform_of(self.recipe, self.kind)
        return source if transform is None else source_from_array(transform(source.to_array(), 0, 0)[0], source.name)

    def prepared_blocks(
        self, source: Source, size: tuple[int, int], protocol: InferenceConfig, batch: int | None
    ) -> Iterator[Block]:
        """Yield the logits of an image that is prepared already; the modes of the task and of torch are the caller's.

        Args:
            source: Result of `prepare`.
            size: Height and width of the image before that.
            protocol: As in `predict_blocks`.
            batch: As in `predict_blocks`.

        Yields:
            As `predict_blocks`.
        """
        read_rows = RowReader(source, self.device)
        if self.kind == "classification" or source.size == size:
            yield from protocol.blocks(self, read_rows, source.size, batch, self.multilabel)
        else:
            logits = protocol.logits(self, read_rows(0, source.size[0])[None], self.multilabel)[0]
            yield from resize_in_blocks(logits, size)


@contextmanager
def _eval_mode(task: L.LightningModule) -> Iterator[None]:
    """Set evaluation mode temporarily, then restore the mode of every module."""
    modes = [(module, module.training) for module in task.modules()]
    task.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
