"""Types common to all of the data pipeline."""

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

import albumentations as A
import numpy as np
import numpy.typing as npt
from torch import Tensor

Transform: TypeAlias = A.BasicTransform | A.BaseCompose

Array = npt.NDArray[Any]
"""Image `(H, W, C)` or mask `(H, W)`; of multi-label data, mask `(H, W, K)` or labels `(K,)`."""

ClassCounts = npt.NDArray[np.int64]
"""Pixels (or samples) of each class: `(C,)` of a split, or `(N, C)` of each of its samples."""

Indices = npt.NDArray[np.intp]
"""Indices of samples, or of their folds, `(N,)`."""

Kind = Literal["segmentation", "classification"]
"""Kind of data: the target of an image is a mask of class ids, or one class id.

The target of multi-label data (`ImageDataModule.multilabel`) has a channel of 0, 1 and `IGNORE` for each of K classes
instead, so that classes may overlap: a mask `(H, W, K)`, or labels `(K,)`. A single channel is a binary target.
"""

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Batch(TypedDict):
    """Samples of one image size, stacked.

    Attributes:
        image: Images `(N, C, H, W)`, uint8 in 0..255 or float32 in 0..1.
        target: Masks `(N, H, W)` int64 of class ids and `IGNORE`, or class ids `(N,)` int64; of multi-label data,
            `(N, K, H, W)` or `(N, K)` uint8 of 0, 1 and `IGNORE`.
        index: Index of each sample in its dataset, `(N,)` int64.
        counts: Only in training: pixels (or samples) of each class over all batches of the optimizer step on this
            process, void last, `(256,)` int64; of multi-label data, those without and with each class, `(K, 2)`.
        partner: Only of mixtures: class ids of the images that are mixed in, `(N,)` int64.
        share: Only of mixtures: share of `target` in each mixture, `(N,)` float32 in 0..1; the rest is `partner`'s.
    """

    image: Tensor
    target: Tensor
    index: Tensor
    counts: NotRequired[Tensor]
    partner: NotRequired[Tensor]
    share: NotRequired[Tensor]
