"""Counts of what was seen, by everything that is known of it: any sum that a page tells is a sum over its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Rows of whole numbers, by the names of their columns.

    Attributes:
        columns: int64 `(M,)` each; one of them is `count`.
    """

    columns: Mapping[str, Ints]

    @classmethod
    def stack(cls, tables: Sequence[Table]) -> Table:
        """Return the rows of several tables, at least one, that have the same columns."""
        return cls({name: np.concatenate([each[name] for each in tables]) for name in tables[0].columns})

    def __getitem__(self, name: str) -> Ints:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self["count"])

    def where(self, chosen: npt.NDArray[np.bool_]) -> Table:
        """Some of the rows."""
        return Table({name: values[chosen] for name, values in self.columns.items()})

    def with_column(self, name: str, values: Ints) -> Table:
        """Return the same rows with a column more."""
        return Table({**self.columns, name: values})

    def sums(self, **shape: int) -> Ints:
        """Return the counts added up by some columns.

        Args:
            **shape: Columns with the number of values that each may have, from 0 on.

        Returns:
            int64, one axis for each column.
        """
        sizes = tuple(shape.values())
        cell = np.ravel_multi_index([self[name] for name in shape], sizes)
        # exact: a float64 holds whole numbers up to 2**53
        counts = np.bincount(cell, self["count"], int(np.prod(sizes)))
        return counts.astype(np.int64).reshape(sizes)
