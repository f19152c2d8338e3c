"""Comparisons of runs that were never trained."""

import pytest

from lightseg.comparison.analysis import compare
from lightseg.runs.read import find
from tests.comparison.fabricate import write_run


@pytest.fixture
def runs(tmp_path):
    """Write runs and compare them: each is given by its config and further arguments of `write_run`."""

    def write(*given, **options):
        number = len(list(tmp_path.iterdir()))
        for index, (made, facts) in enumerate(given, start=number):
            write_run(tmp_path / f"run{index:02}", made, **facts)
        return compare(find([str(tmp_path)])[0], **options)

    return write
