"""Table of counts by several properties, from which every sum of a page is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightseg.metrics.scores import Integers


@dataclass(frozen=True)
class Table:
    """Rows of integers, by the names of their columns.

    Attributes:
        columns: int64 `(M,)` each; one of them is `count`.
    """

    columns: Mapping[str, Integers]

    @classmethod
    def stack(cls, tables: Sequence[Table]) -> Table:
        """Return the rows of one or more tables with the same columns as one table."""
        return cls({name: np.concatenate([table[name] for table in tables]) for name in tables[0].columns})

    def __getitem__(self, name: str) -> Integers:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self["count"])

    def where(self, mask: npt.NDArray[np.bool_]) -> Table:
        """Return the rows of a mask, bool `(M,)`."""
        return Table({name: values[mask] for name, values in self.columns.items()})

    def with_column(self, name: str, values: Integers) -> Table:
        """Return the same rows with an additional column, int64 `(M,)`."""
        return Table({**self.columns, name: values})

    def sums(self, **shape: int) -> Integers:
        """Return the sums of the counts by the values of columns.

        Args:
            **shape: Number of values of each column, from 0 on.

        Returns:
            int64, one axis for each column.
        """
        sizes = tuple(shape.values())
        cell = np.ravel_multi_index([self[name] for name in shape], sizes)
        # exact: a float64 represents integers up to 2**53
        counts = np.bincount(cell, self["count"], int(np.prod(sizes)))
        return counts.astype(np.int64).reshape(sizes)
