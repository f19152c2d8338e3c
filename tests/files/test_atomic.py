"""Atomic writing of files and folders."""

import os
import subprocess
from pathlib import Path

import pytest

from lightseg.errors import UserError
from lightseg.files.atomic import atomic_folder, atomic_write, require_writable, write_atomically


def test_atomic_write__what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "a", "old")

    def fail():
        with atomic_write(tmp_path / "a") as temporary:
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


def test_atomic_write__a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "table.csv")
    write_atomically(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "table.csv").read_text() == "new"


def test_atomic_write__a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    write_atomically(tmp_path / "pipe", "through")
    assert reader.communicate()[0] == "through"
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


@pytest.mark.skipif(not Path("/proc/self/comm").is_file(), reason="needs a folder that even root cannot write to")
def test_require_writable__a_file_whose_folder_takes_no_other(tmp_path):
    (tmp_path / "link").symlink_to("/proc/self/comm")
    for path in (Path("/proc/self/comm"), tmp_path / "link"):
        with pytest.raises(UserError, match=f"--csv {path}: cannot be written: "):
            require_writable(path, "--csv")


def test_require_writable__a_pipe_or_device_is_written_to_directly():
    require_writable(Path("/dev/null"), "--csv")


@pytest.mark.parametrize("fails", ["while it is filled", "when it takes its place"])
def test_atomic_folder__what_fails_leaves_the_old_folder_and_nothing_else(tmp_path, monkeypatch, fails):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").touch()
    rename = type(tmp_path).rename

    def refuse(path, target):
        if path.name.startswith(".a.") and not path.name.endswith(".former"):
            raise OSError
        return rename(path, target)

    def fail():
        with atomic_folder(tmp_path / "a") as temporary:
            (temporary / "new").touch()
            if fails == "while it is filled":
                raise OSError

    monkeypatch.setattr(type(tmp_path), "rename", refuse)
    with pytest.raises(OSError):
        fail()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/old"]


def test_atomic_folder__takes_the_place_of_the_old_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").touch()
    with atomic_folder(tmp_path / "a") as temporary:
        (temporary / "new").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/new"]


def test_write_atomically__a_full_device_is_named():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_atomically(Path("/dev/full"), "text")
