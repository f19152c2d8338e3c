"""Folders of evaluations that others made, or damaged."""

import json
import os

import pytest

from lightseg.errors import UserError
from lightseg.evaluation.record import require_same

SETTINGS = {"split": "test", "protocol": "whole", "data": "a", "data_options": {}, "sha256": "0"}


def test_require_same__the_same_and_another_evaluation(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({**SETTINGS, "test/miou": 0.5}))
    require_same(tmp_path, SETTINGS)
    with pytest.raises(UserError, match="holds an evaluation of another checkpoint"):
        require_same(tmp_path, {**SETTINGS, "sha256": "1"})


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text("null"),
        lambda path: path.write_text(json.dumps({**SETTINGS, "data": [[]], "sha256": {}})),
    ],
)
def test_require_same__what_is_no_evaluation(tmp_path, make):
    make(tmp_path / "metrics.json")
    with pytest.raises(UserError, match="holds (something that is no evaluation|an evaluation of another)"):
        require_same(tmp_path, SETTINGS)
