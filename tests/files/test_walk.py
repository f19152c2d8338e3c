"""Bounded walking of folders with links."""

import subprocess

import pytest
from PIL import Image

from lightseg.data.io.pairing import find_pairs
from lightseg.errors import UserError
from lightseg.files.walk import walk
from lightseg.inference.inputs import find_files


@pytest.fixture
def looped(tmp_path):
    """A folder in which links lead back: to the folder itself twice, and from one folder in it to another and back."""
    for kind in ("images", "masks"):
        for name in ("0.png", "left/1.png", "right/2.png"):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8)).save(tmp_path / kind / name)
        for name, target in (("a", "."), ("b", "."), ("left/over", "../right"), ("right/over", "../left")):
            (tmp_path / kind / name).symlink_to(target)
    return tmp_path


REACHED = ["0", "left/1", "left/over/2", "right/2", "right/over/1"]


def test_walk__is_that_of_python_in_order(tmp_path):
    for name in ("b/x.txt", "a/y.txt", "a/c/z.txt", "a-b/w.txt", "v.txt", ".hidden", ".git/config", "__pycache__/u"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = [("", ["v.txt"]), ("a/", ["y.txt"]), ("a/c/", ["z.txt"]), ("a-b/", ["w.txt"]), ("b/", ["x.txt"])]
    assert list(walk(str(tmp_path), (".", "__"))) == expected
    assert [inside for inside, _ in walk(str(tmp_path))] == ["", "__pycache__/", "a/", "a/c/", "a-b/", "b/"]


def test_walk__ends_where_links_lead_back(looped):
    pairs = find_pairs(looped, "images", "masks")
    assert [pair.name for pair in pairs] == REACHED


@pytest.mark.parametrize("pattern", ["", "/**/*.png", "/**"])
def test_inputs__end_where_links_lead_back(looped, pattern):
    named = find_files([f"{looped}/images{pattern}"], looped / "out")
    assert sorted(str(below.with_suffix("")) for below in named.values()) == REACHED


def test_walk__takes_any_depth(tmp_path):
    deep = "d/" * 1500
    try:
        subprocess.run(["mkdir", "-p", deep], cwd=tmp_path, check=True)
        assert [inside for inside, _ in walk(str(tmp_path))][-1] == deep
    finally:
        # what cleans up behind the tests goes down by recursion
        subprocess.run(["rm", "-rf", "d"], cwd=tmp_path, check=True)


def linked_to_each_other(root, folders):
    """Folders of one file, each with a link to each other one; n folders have n! × e paths."""
    for name in map(str, range(folders)):
        (root / name).mkdir(parents=True)
        (root / name / f"{name}.png").touch()
        for target in map(str, range(folders)):
            if target != name:
                (root / name / f"to{target}").symlink_to(f"../{target}")
    return root


def test_walk__has_all_paths_of_a_few_folders_that_link_to_each_other(tmp_path):
    paths = [inside for inside, _ in walk(str(linked_to_each_other(tmp_path / "few", 4)))]
    assert len(paths) == len(set(paths)) == 1 + 4 + 4 * 3 + 4 * 3 * 2 + 4 * 3 * 2


def test_walk__ends_where_many_folders_link_to_each_other(tmp_path):
    root = linked_to_each_other(tmp_path / "many", 9)
    with pytest.raises(UserError, match=rf"{root}/\d/to\d: this link lies on more than 300 paths, because"):
        list(walk(str(root)))


def test_walk__takes_a_folder_that_many_others_link_to(tmp_path):
    (tmp_path / "shared/below").mkdir(parents=True)
    for number in range(400):
        (tmp_path / f"root/{number}").mkdir(parents=True)
        (tmp_path / f"root/{number}/link").symlink_to("../../shared")
    paths = [inside for inside, _ in walk(str(tmp_path / "root"))]
    assert sum(inside.endswith("/link/below/") for inside in paths) == 400


def test_walk__a_folder_that_is_removed_meanwhile(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    folders = []
    for inside, _ in walk(str(tmp_path)):
        folders.append(inside)
        if inside == "a/":
            (tmp_path / "b").rmdir()
    assert folders == ["", "a/", "c/"]
    with pytest.raises(FileNotFoundError):
        list(walk(str(tmp_path / "b")))
