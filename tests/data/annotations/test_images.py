"""Files that a name in an annotation means."""

import pytest

from lightseg.data.annotations.images import (
    AnnotatedImage,
    ImageIndex,
    read_content,
    require_unique,
    with_folder_splits,
)
from lightseg.data.io.error_collector import collect_errors
from lightseg.errors import DataError
from tests.data.fabricate import picture, save


@pytest.fixture
def index(tmp_path):
    for path in ("a.png", "one/a.png", "one/b.png", "two/c.png", "two/b.jpg", "three/c.png", "three/deep/d.png"):
        save(tmp_path / path, picture())
    return ImageIndex(tmp_path)


@pytest.mark.parametrize(
    ("name", "near", "path"),
    [
        ("b.png", ".", "one/b.png"),
        ("a.png", ".", "a.png"),
        ("a.png", "one", "one/a.png"),
        ("./one/a.png", ".", "one/a.png"),
        ("one\\a.png", ".", "one/a.png"),
        ("deep/d.png", "two", "three/deep/d.png"),
        ("../one/a.png", "two", "one/a.png"),
        ("/data/somewhere/two/c.png", ".", "two/c.png"),
        ("D:\\photos\\d.png", ".", "three/deep/d.png"),
    ],
)
def test_find(index, name, near, path):
    assert index.find(name, "here", near) == path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c.png", "here: c.png may be three/c.png or two/c.png; write its path below"),
        ("e.png", "here: there is no image e.png in"),
        ("four/d.png", "here: there is no image four/d.png in"),
        ("..", "here: there is no image .. in"),
        ("../../a.png", r"here: ../../a.png leads out of .*; correct it, or set data.root to a folder above"),
        ("", "here: there is no image"),
    ],
)
def test_find__reports_what_no_image_or_several_have(index, name, message):
    with pytest.raises(DataError, match=message):
        index.find(name, "here", "one")
    with collect_errors() as errors:
        assert index.find(name, "here", "one") is None
    assert len(errors) == 1


def test_find_partner__is_beside_the_file_or_anywhere(index):
    assert index.find_partner("one/b.json") == ["one/b.png"]
    assert index.find_partner("labels/d.json") == ["three/deep/d.png"]
    assert index.find_partner("labels/c.json") == ["three/c.png", "two/c.png"]
    assert index.find_partner("labels/e.json") == []


def test_index__of_a_folder(index, tmp_path):
    two = ImageIndex(tmp_path, "two/")
    assert two.images == ["two/b.jpg", "two/c.png"]
    assert two.find("c.png", "here") == "two/c.png"
    with pytest.raises(DataError, match="four: the folder does not exist; set data.root or data.images"):
        ImageIndex(tmp_path, "four")
    (tmp_path / "five").mkdir()
    with pytest.raises(DataError, match="five: no file here is an image; the folder is empty; set data.images"):
        ImageIndex(tmp_path, "five")


def test_require_unique__names_both_annotations():
    first, second = AnnotatedImage("a.png", "x.json"), AnnotatedImage("a.png", "y.json")
    assert require_unique([first, second._replace(split="val")]) == [first, second._replace(split="val")]
    with pytest.raises(DataError, match=r"y.json: a.png has another annotation, x.json; remove one of them"):
        require_unique([first, second])
    with pytest.raises(DataError, match=r"x.json: a.png is listed twice; remove one entry"):
        require_unique([first, first._replace(content=b"1")])


def test_with_folder_splits__needs_a_folder_of_train():
    def splits(*paths):
        return [image.split for image in with_folder_splits([AnnotatedImage(path, "") for path in paths])]

    assert splits("train/a.png", "images/valid/b.png", "c.png") == ["train", "val", None]
    assert splits("val/a.png", "test/b.png") == [None, None]
    assert splits("train.png", "one/two/train/a.png") == [None, None]


def test_read_content__refuses_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="a.json: cannot be read"):
        read_content(tmp_path / "a.json")
