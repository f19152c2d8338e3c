"""A part of `make fuzz`."""

import pytest

from tests.fuzz.__main__ import run, table


@pytest.mark.slow
def test_fuzz__a_part_of_it(tmp_path):
    outcomes = run(
        ["configs", "data", "folders", "checkpoints"], seed=1, share=0.03, minutes=5, keep=tmp_path / "failed"
    )
    assert len(outcomes) >= 35
    assert not any(outcome.fault for outcome in outcomes), table(outcomes)
