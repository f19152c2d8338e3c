"""Logs that others made."""

import pytest

from lightseg.errors import UserError
from lightseg.runs.metrics_log import read_log
from tests.helpers.sparse import write_sparse


def test_read_log__a_sparse_file_of_terabytes(tmp_path):
    write_sparse(tmp_path / "metrics.jsonl")
    with pytest.raises(UserError, match=r"metrics.jsonl: is damaged \(it is longer than 536870912 bytes\)"):
        read_log(tmp_path)
