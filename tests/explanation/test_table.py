"""Table of counts."""

import numpy as np

from lightseg.explanation.table import Table


def _table(**columns):
    return Table({name: np.array(values, np.int64) for name, values in columns.items()})


def test_sums__by_any_columns_and_exact_beyond_float32():
    table = _table(truth=[0, 1, 1, 0], size=[2, 0, 0, 2], count=[1, 2, 3, 2**40 + 1])

    assert table.sums(truth=2).tolist() == [2**40 + 2, 5]
    assert table.sums(truth=2, size=3).tolist() == [[0, 0, 2**40 + 2], [5, 0, 0]]
    assert table.sums(size=3, truth=2).tolist() == [[0, 5], [0, 0], [2**40 + 2, 0]]
    assert table.sums(truth=2).dtype == np.int64


def test_sums__of_no_rows_are_0():
    assert _table(truth=[], count=[]).sums(truth=2).tolist() == [0, 0]


def test_where_and_with_column__leave_the_table_as_it_is():
    table = _table(truth=[0, 1, 1], count=[1, 2, 3])
    ones = table.where(table["truth"] == 1).with_column("image", np.array([7, 8]))

    assert {name: values.tolist() for name, values in ones.columns.items()} == {
        "truth": [1, 1],
        "count": [2, 3],
        "image": [7, 8],
    }
    assert (len(table), len(ones), set(table.columns)) == (3, 2, {"truth", "count"})


def test_stack__rows_in_order():
    stacked = Table.stack([_table(truth=[1], count=[2]), _table(truth=[], count=[]), _table(truth=[0], count=[5])])

    assert (stacked["truth"].tolist(), stacked["count"].tolist()) == ([1, 0], [2, 5])
