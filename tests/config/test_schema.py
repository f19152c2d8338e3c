"""Schemas of foreign files."""

import pytest

from lightseg.config.run_schema import RECORDS
from lightseg.config.schema import require_form
from lightseg.errors import UserError


def test_require_form__names_the_file_and_the_key():
    form = RECORDS["env.json"]
    require_form(form, {"gpus": ["A100"], "unknown": 1}, "env.json")
    with pytest.raises(UserError, match=r"env\.json.*gpus"):
        require_form(form, {"gpus": 3}, "env.json")
