import os
import subprocess

import pytest

from lightseg.errors import UserError
from lightseg.files import replacing, require_writable, write_atomically


def test_replacing__what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "a", "old")

    def fail():
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("ne")
            raise OSError

    with pytest.raises(OSError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_write_atomically__leaves_no_other_file(tmp_path):
    write_atomically(tmp_path / "new" / "a.txt", "one")
    write_atomically(tmp_path / "new" / "a.txt", "two")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text() == "two"


def test_replacing__a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "table.csv")
    write_atomically(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "table.csv").read_text() == "new"


def test_replacing__a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    write_atomically(tmp_path / "pipe", "through")
    assert reader.communicate(timeout=60)[0] == "through"
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "--csv .*: is a folder; give the name of a file"),
        ("nowhere/table.csv", "--csv .*nowhere/table.csv: there is no folder .*nowhere; make it"),
        ("file/table.csv", "--csv .*file/table.csv: there is no folder .*file; make it"),
    ],
)
def test_require_writable__says_what_is_wrong(name, message, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        require_writable(tmp_path / name, "--csv")
    require_writable(tmp_path / "table.csv", "--csv")
    require_writable(tmp_path / "file", "--csv")
