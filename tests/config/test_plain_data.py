"""Plain data of foreign files, limited in size and depth."""

import pytest

from lightseg.config.plain_data import plain
from lightseg.errors import UserError


def test_plain__copies_data_and_makes_texts_printable():
    content = {"a": [1, 2.5, None, True], "b": "\x1b[31mred"}
    copy = plain(content, "file.json")
    assert copy["a"] == content["a"]
    assert copy["a"] is not content["a"]
    assert "\x1b" not in copy["b"]


def test_plain__refuses_objects_and_depth():
    with pytest.raises(UserError, match=r"file\.json"):
        plain({"a": object()}, "file.json")
    nested = []
    for _ in range(1000):
        nested = [nested]
    with pytest.raises(UserError, match=r"file\.json: holds more than .* levels"):
        plain(nested, "file.json")
