"""Fixtures of comparisons of fabricated runs."""

import pytest

from lightseg.comparison.analysis import compare
from lightseg.runs.read import find
from tests.comparison.fabricate import skilled, wide, write_run


@pytest.fixture
def runs(tmp_path):
    """Return a function that writes runs, from a config and further arguments of `write_run` each, and compares all."""

    def write(*arguments, **options):
        number = len(list(tmp_path.iterdir()))
        for index, (config, facts) in enumerate(arguments, start=number):
            write_run(tmp_path / f"run{index:02}", config, **facts)
        return compare(find([str(tmp_path)])[0], **options)

    return write


@pytest.fixture
def comparison(runs):
    """Compare two widths of two seeds each, in which one class is absent from the second width."""
    logged = skilled(0.8, 0.81, 0.9, 0.9)
    logged[2][:, :, 2] = logged[3][:, :, 2] = logged[0][:, :, 2] = logged[1][:, :, 2] = 0
    return runs(*[(wide(4 + index // 2, seed=index % 2), {"logged": counts}) for index, counts in enumerate(logged)])
