"""Images that annotations belong to."""

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


@pytest.fixture
def index(tmp_path):
    for name in ("a/1.png", "b/1.png", "b/2.png", "b/caf\u00e9.jpg", "c/3.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    return ImageIndex(tmp_path, "images")


@pytest.mark.parametrize(
    ("name", "near", "image"),
    [
        ("2.png", ".", "images/b/2.png"),
        ("b/1.png", ".", "images/b/1.png"),
        ("images/a/1.png", ".", "images/a/1.png"),
        ("1.png", "images/a", "images/a/1.png"),
        ("../images/b/1.png", "labels", "images/b/1.png"),
        ("cafe\u0301.jpg", ".", "images/b/caf\u00e9.jpg"),
        # of another machine
        ("/data/set/b/1.png", ".", "images/b/1.png"),
        ("C:\\data\\c\\3.png", ".", "images/c/3.png"),
    ],
)
def test_find__the_image_that_a_name_means(index, name, near, image):
    assert index.find(name, "x", near) == image


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("1.png", "ambiguous name", "x: 1.png may be images/a/1.png or images/b/1.png; write its path below"),
        ("9.png", "annotation without image", "x: there is no image 9.png in"),
        ("other/2.png", "annotation without image", "x: there is no image other/2.png in"),
        ("../../2.png", "path outside", "x: ../../2.png leads out of"),
    ],
)
def test_find__that_means_no_image_is_reported(index, name, kind, message):
    with collect_errors() as errors:
        assert index.find(name, "x") is None
    assert [(error.kind, str(error)[: len(message)]) for error in errors] == [(kind, message)]


def test_find_partner__beside_the_file_or_anywhere(index):
    assert index.find_partner("images/a/1.json") == ["images/a/1.png"]
    assert index.find_partner("labels/1.txt") == ["images/a/1.png", "images/b/1.png"]
    assert index.find_partner("labels/9.txt") == []


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_index__a_folder_without_images_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"{folder}: .*; set data\."):
        ImageIndex(tmp_path, folder)


def test_read_content__a_missing_file_is_named(tmp_path):
    (tmp_path / "x.json").write_bytes(b"{}")
    assert read_content(tmp_path / "x.json") == b"{}"
    with pytest.raises(DataError, match=r"y\.json: cannot be read"):
        read_content(tmp_path / "y.json")


def test_require_unique__the_first_of_several_annotations_in_a_split():
    images = [
        AnnotatedImage("1.png", "x: 1"),
        AnnotatedImage("1.png", "x: 2"),
        AnnotatedImage("2.png", "x: 3"),
        AnnotatedImage("2.png", "x: 3"),
        AnnotatedImage("1.png", "x: 4", split="val"),
    ]
    with collect_errors() as errors:
        assert require_unique(images) == [images[0], images[2], images[4]]
    assert [str(error) for error in errors] == [
        "x: 2: 1.png has another annotation, x: 1; remove one of them",
        "x: 3: 2.png is listed twice; remove one entry",
    ]


def test_with_folder_splits__of_the_first_two_folders_if_one_is_train():
    def splits(*paths):
        return [image.split for image in with_folder_splits([AnnotatedImage(path, "x") for path in paths])]

    assert splits("train/1.png", "images/valid/2.png", "a/b/test/3.png") == ["train", "val", None]
    assert splits("val/1.png", "test/2.png") == [None, None]
