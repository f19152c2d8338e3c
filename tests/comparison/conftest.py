"""Fixtures of comparisons of fabricated runs."""

import pytest

from lightseg.comparison.analysis import compare
from lightseg.runs.read import find
from tests.comparison.fabricate import write_run


@pytest.fixture
def runs(tmp_path):
    """Return a function that writes runs, from a config and further arguments of `write_run` each, and compares all."""

    def write(*arguments, **options):
        number = len(list(tmp_path.iterdir()))
        for index, (config, facts) in enumerate(arguments, start=number):
            write_run(tmp_path / f"run{index:02}", config, **facts)
        return compare(find([str(tmp_path)])[0], **options)

    return write
