"""Logs that others made."""

import pytest

from lightseg.errors import UserError
from lightseg.runs.metrics_log import read_log


def test_read_log__a_sparse_file_of_terabytes(tmp_path):
    with (tmp_path / "metrics.jsonl").open("wb") as file:
        file.truncate(10**13)
    with pytest.raises(UserError, match=r"metrics.jsonl: is damaged \(it is longer than 536870912 bytes\)"):
        read_log(tmp_path)
