import pytest

from lightseg.data.io.pairing import describe_folder, find_pairs
from lightseg.errors import DataError


def test_find_pairs__names_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="the folder does not exist; did you mean .*images"):
        find_pairs(tmp_path, "image", "masks")


def test_describe_folder__that_is_a_file(tmp_path):
    (tmp_path / "data.zip").touch()
    assert describe_folder(tmp_path / "data.zip", ["images"]) == "it is a file; give the folder that holds the data"
