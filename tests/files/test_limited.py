"""Files that others made: links out of their folder, files without end, and what is no file."""

import os

import pytest

from lightseg.errors import UserError
from lightseg.files.limited import read_limited, require_inside
from tests.helpers.sparse import write_sparse


def test_read_limited__a_sparse_file_of_terabytes(tmp_path):
    write_sparse(tmp_path / "x")
    with pytest.raises(UserError, match=r"x: is damaged \(it is longer than 100 bytes\)"):
        read_limited(tmp_path / "x", 100)


def test_read_limited__a_pipe_and_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UserError, match="is not a regular file"):
            read_limited(path, 100)


def test_require_inside__links_within_a_folder_that_is_a_link(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "a" / "file").write_text("f")
    (tmp_path / "a" / "near").symlink_to("file")
    (tmp_path / "a" / "far").symlink_to("../secret")
    require_inside(tmp_path / "b" / "near")
    with pytest.raises(UserError, match="far: is a link that leads out of its folder"):
        require_inside(tmp_path / "b" / "far")
