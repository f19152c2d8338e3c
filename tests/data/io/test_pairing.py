import pytest

from lightseg.data.io.pairing import find_pairs
from lightseg.errors import DataError


def test_find_pairs__names_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="the folder does not exist; did you mean .*images"):
        find_pairs(tmp_path, "image", "masks")
