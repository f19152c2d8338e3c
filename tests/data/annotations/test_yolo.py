"""YOLO: its YAML file, the text file of an image, and lines that are no outlines."""

import numpy as np
import pytest
import yaml

from lightseg.data.annotations.draw import rasterize
from lightseg.data.annotations.images import ImageIndex, read_content
from lightseg.data.annotations.yolo import YoloFormat, read_yolo
from lightseg.errors import DataError
from tests.data.fabricate import picture, save


@pytest.fixture
def read(tmp_path):
    """Read a data set of YOLO with some entries of its YAML file."""

    def run(**content):
        (tmp_path / "data.yaml").write_text(yaml.safe_dump({"names": ["cat", "dog"], **content}))
        return read_yolo(tmp_path / "data.yaml", ImageIndex(tmp_path))

    return run


def pair(root, image, labels, text="0 0 0 1 0 1 1\n"):
    save(root / image, picture())
    path = root / labels
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("image", "labels", "content"),
    [
        ("images/train/1.jpg", "labels/train/1.txt", {"train": "images/train"}),
        ("train/images/1.jpg", "train/labels/1.txt", {"train": "train/images"}),
        # a path that starts one folder too high
        ("train/images/1.jpg", "train/labels/1.txt", {"train": "../train/images"}),
        # the folder of another machine
        ("images/images/1.jpg", "images/labels/1.txt", {"train": "images/images", "path": "/data/sets/cats"}),
        ("a/images/b/1.jpg", "a/labels/b/1.txt", {"train": ["images/b"], "path": "a"}),
        ("photos/1.jpg", "photos/1.txt", {"train": "photos"}),
    ],
)
def test_read__the_text_file_of_an_image(tmp_path, read, image, labels, content):
    pair(tmp_path, image, labels)
    (found,) = read(**content).images
    assert (found.image, found.file, found.split) == (image, labels, "train")


def test_read__an_image_without_a_text_file_has_no_object_and_names_may_have_gaps(tmp_path, read):
    save(tmp_path / "images" / "1.png", picture())
    pair(tmp_path, "images/2.png", "labels/2.txt")
    annotations = read(train="images", names={2: "cat", 0: "dog"})
    assert annotations.classes == ["dog", "cat"]
    assert [image.is_annotated for image in annotations.images] == [False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": "missing"}, "train: there is no missing beside it; correct its path"),
        ({"train": 3}, "its train is int, and a folder or a list file is expected"),
        ({"train": "images", "names": []}, "its names are no list of classes"),
        ({"train": "images", "names": ["cat", True]}, "its names hold True, which is no text"),
        ({"train": "images", "names": [["x"] * 999]}, r"its names hold \[('x', ){11}'x',, which is no text"),
        ({"val": "images"}, "has no names and train"),
        ({"train": "images", "kpt_shape": [17, 3]}, "is of key points .kpt_shape., which have no outline"),
        ({"train": "/"}, "train: / leads out of .*; set data.root to a folder above"),
    ],
)
def test_read__a_damaged_yaml_file_is_refused(tmp_path, read, content, message):
    pair(tmp_path, "images/1.png", "labels/1.txt")
    with pytest.raises(DataError, match=message):
        read(**content)


def test_read__a_text_file_without_an_image_is_refused(tmp_path, read):
    pair(tmp_path, "images/1.png", "labels/1.txt")
    (tmp_path / "labels" / "2.txt").write_text("")
    with pytest.raises(DataError, match=r"labels/2.txt: has no image; add it, or remove the file"):
        read(train="images")


def test_read__a_link_that_leads_nowhere_is_no_missing_text_file(tmp_path, read):
    save(tmp_path / "images" / "1.png", picture())
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").symlink_to("nowhere.txt")
    (image,) = read(train="images").images
    assert image.is_annotated
    with pytest.raises(DataError, match=r"labels/1.txt: cannot be read \(No such file"):
        read_content(tmp_path / image.file)


def shape(text, size=(10, 20)):
    file = YoloFormat({0: "cat"})
    (record,) = file.parse(text.encode(), "1.txt").objects
    return rasterize(file.shape(record, size), size)


def test_shape__coordinates_are_fractions():
    bitmap = shape("0 0.25 0.5 0.5 0.5 0.5 1 0.25 1")
    assert (bitmap.top, bitmap.left, bitmap.pixels.shape) == (5, 5, (5, 5))
    assert np.all(bitmap.pixels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "1.txt: line 1 .cat.: is a box of 4 numbers, not an outline"),
        ("0 5 5 9 5 9 9", "holds 9, and coordinates are fractions of width and height, 0 to 1"),
        ("0 nan 0.5 0.5 0.1 0.1 0.2", "its outline holds nan, which is no coordinate"),
        ("0 x 0.5 0.5 0.1 0.1 0.2", "its outline is no list of numbers"),
        ("0 0.1 0.5 0.5 0.1 0.1", "has 5 numbers, and each point needs two"),
        ("7 0.1 0.1 0.5 0.1 0.1 0.2", "1.txt: line 1: begins with 7, which is the number of no class"),
        ("cat 0.1 0.1 0.5 0.1 0.1 0.2", "begins with cat"),
    ],
)
def test_shape__a_line_that_is_no_outline_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        shape(text)


def test_parse__a_file_that_is_no_text_is_refused():
    with pytest.raises(DataError, match="1.txt: is no UTF-8"):
        YoloFormat({0: "cat"}).parse(b"\xff\xfe\x00", "1.txt")
