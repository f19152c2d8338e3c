"""Records of the runs of tools in run folders."""

import pytest

from lightseg.errors import DataError
from lightseg.tracking.identity import read_identity


def test_read_identity__of_a_new_folder_and_of_one_with_a_record(tmp_path):
    path = tmp_path / "tool.json"
    assert read_identity(path, ("id",), "Tool") == {}
    path.write_text('{"id": "a", "entity": null, "sent": 3}')
    assert read_identity(path, ("id", "entity"), "Tool") == {"id": "a", "entity": None, "sent": 3}


@pytest.mark.parametrize("text", ["[]", "{", '{"id": 3}', "[" * 100_000, "\xff"])
def test_read_identity__a_damaged_record_is_named(tmp_path, text):
    path = tmp_path / "tool.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"tool\.json is damaged; delete it, and the run becomes a new one in Tool$"):
        read_identity(path, ("id",), "Tool")
