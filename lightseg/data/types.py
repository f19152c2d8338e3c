"""Types that every part of the data pipeline shares."""

from typing import Any, Literal, TypeAlias

import albumentations as A
import numpy as np
import numpy.typing as npt

Transform: TypeAlias = A.BasicTransform | A.BaseCompose

Array = npt.NDArray[Any]
"""An image `(H, W, C)` or a mask `(H, W)`."""

ClassCounts = npt.NDArray[np.int64]
"""Pixels (or samples) of each class: `(C,)` of a split, `(N, C)` of each of its samples."""

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
