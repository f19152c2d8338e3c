"""Confusion matrices of a page; the macro `confusion_matrix` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

_MAX_PRINTED = 12
"""Largest number of classes whose numbers are written into the cells."""

_MAX_LABELLED = 40
"""Largest number of classes whose names are beside the cells; smaller cells are empty where the share is 0."""


@dataclass(frozen=True)
class Matrix:
    """Confusion matrix, each row in shares of its true class.

    Attributes:
        classes: The C class names.
        shares: Share of each true class by prediction, C rows of C values in 0..1.
        label: Name of what is evaluated, for screen readers.
        visible: A smaller share is rounded to 0 %.
        deep: On a larger share the number is white.
    """

    classes: Sequence[str]
    shares: list[list[float]]
    label: str
    visible: ClassVar[float] = 0.005
    deep: ClassVar[float] = 0.8

    @classmethod
    def from_counts(cls, classes: Sequence[str], counts: npt.NDArray[np.int64], label: str) -> Matrix:
        """Divide the counts, truth × prediction, int64 `(C, C)`, by those of their true class."""
        return cls(classes, (counts / counts.sum(1, keepdims=True).clip(1)).tolist(), label)

    @property
    def size(self) -> str:
        """CSS class for the number of classes."""
        number = len(self.classes)
        return "printed" if number <= _MAX_PRINTED else "labelled" if number <= _MAX_LABELLED else "dense"
