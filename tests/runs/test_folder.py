"""Run folders: names, creation, removal."""

import re

import pytest

from lightseg.errors import UserError
from lightseg.runs.folder import create, discard, require_name


@pytest.mark.parametrize("name", ["unet", "größe 2", ".hidden", "x" * 200])
def test_require_name__of_a_folder(name):
    require_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", " a", "a\n", "\x1b[31m", "x" * 201, "ß" * 101])
def test_require_name__anything_else_is_refused(name):
    with pytest.raises(UserError, match="^--name .*: is no name of a folder; give up to 200 printable characters"):
        require_name(name)


def test_create__a_new_folder_each_time(tmp_path):
    folders = [create(str(tmp_path / "runs"), "unet") for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        assert folder.is_dir()
        assert folder.parent == tmp_path / "runs/unet"
        assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{4}", folder.name)


def test_create__where_no_folder_can_be(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UserError, match=r"^--runs_dir .*runs: cannot make .*unet/.*: Not a directory$"):
        create(str(tmp_path / "runs"), "unet")


def test_discard__removes_what_create_has_made_and_nothing_else(tmp_path):
    first, second = (create(str(tmp_path / "runs"), "unet") for _ in range(2))
    (first / "checkpoints").mkdir()
    discard(first)
    assert [path.name for path in first.parent.iterdir()] == [second.name]
    discard(second)
    assert list(tmp_path.iterdir()) == []
    discard(second)
