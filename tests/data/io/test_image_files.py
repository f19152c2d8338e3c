"""Image files of a folder, and descriptions of folders that lack some."""

import unicodedata

import pytest

from lightseg.data.io.image_files import describe_folder, is_writable, list_images, normal_name
from lightseg.errors import DataError


def test_list_images__in_order_without_other_files_and_hidden_folders(tmp_path):
    for name in ("b/2.PNG", "b/1.tif", "a.jpeg", "notes.txt", ".cache/3.png", "__MACOSX/4.png", "png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(list_images(tmp_path)) == ["a.jpeg", "b/1.tif", "b/2.PNG"]


@pytest.mark.parametrize("name", ["a\nb.png", "a\x85b.png", "a\udcffb.png"])
def test_list_images__a_name_that_no_list_can_hold_is_refused(tmp_path, name):
    assert not is_writable(name)
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="is not UTF-8 or holds a control character; rename the file"):
        list(list_images(tmp_path))


def test_normal_name__of_two_forms_of_a_letter():
    assert normal_name(unicodedata.normalize("NFD", "é.png")) == "é.png"
    assert is_writable("é 道.png")


def test_describe_folder__by_what_is_there(tmp_path):
    (tmp_path / "data.zip").touch()
    assert describe_folder(tmp_path / "data.zip", ["images"]) == "it is a file; give the folder that holds the data"
    (tmp_path / "image").mkdir()
    assert describe_folder(tmp_path / "image", []) == "the folder is empty"
    assert describe_folder(tmp_path, ["images"]) == "it holds data.zip, image/; did you mean image/?"
    expected = f"the folder does not exist; did you mean {tmp_path / 'image'}?"
    assert describe_folder(tmp_path / "images", []) == expected
