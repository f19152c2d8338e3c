"""Fixtures of lists."""

import json

import pytest

from lightseg.list import main


@pytest.fixture
def rows(call):
    """Return the objects that a command prints as JSON."""

    def run(*args):
        code, out, err = call(main, *args, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return run
