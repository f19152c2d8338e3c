"""Images that a command line names."""

import numpy as np
import pytest
import tifffile

from lightseg.errors import UserError
from lightseg.inference.inputs import Item, find_files, items_of, skipped_files
from tests.data.fabricate import picture, save


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "deep/er/c.png", ".hidden/d.png", "out/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("notes.txt", "x.heic", "y.heic", "out/z.heic", "Makefile"):
        (tmp_path / name).touch()
    return tmp_path


def _found(folder, *inputs):
    files = find_files([str(folder / name) for name in inputs], folder / "out")
    return {file.relative_to(folder).as_posix(): name.as_posix() for file, name in files.items()}


def test_find_files__folders_with_all_below_but_results_and_hidden_ones(folder):
    assert _found(folder, ".") == {"a.JPG": "a.JPG", "b.png": "b.png", "deep/er/c.png": "deep/er/c.png"}
    assert _found(folder, "deep", "b.png") == {"deep/er/c.png": "er/c.png", "b.png": "b.png"}


def test_find_files__patterns_are_below_their_first_wildcard(folder):
    assert _found(folder, "**/*.png") == {"b.png": "b.png", "deep/er/c.png": "deep/er/c.png"}
    assert _found(folder, "deep/*/c.png") == {"deep/er/c.png": "er/c.png"}


def test_find_files__a_named_file_of_any_suffix_is_an_image(folder):
    assert _found(folder, "x.heic") == {"x.heic": "x.heic"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere: there is no such file or folder$"),
        ("*.gif9", r"\*\.gif9: no image fits this pattern \("),
        (".hidden/empty", "empty: there is no image in this folder; it is searched for "),
        ("out", "out: is in --out .*out, where results go; give another --out$"),
    ],
)
def test_find_files__an_input_without_an_image_is_named(folder, name, message):
    (folder / ".hidden/empty").mkdir()
    with pytest.raises(UserError, match=message):
        _found(folder, name)


def test_skipped_files__are_counted_by_suffix(folder):
    first, *others = skipped_files([str(folder), str(folder / "b.png")], folder / "out").split(", ")
    assert (first, sorted(others)) == ("'.heic' (2)", ["'.txt' (1)", "'Makefile' (1)"])


def test_items_of__the_pages_of_a_tiff_unless_they_are_bands(tmp_path):
    save(tmp_path / "a.png", picture())
    tifffile.imwrite(tmp_path / "pages.tif", np.zeros((2, 8, 8), np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "bands.tif", np.zeros((4, 8, 8), np.uint8), photometric="minisblack")
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    items = items_of(find_files([str(tmp_path)], tmp_path / "out"), 4, "segmentation")
    assert [(item.name, item.page) for item in items] == [
        *(("a", None), ("bands", None), ("broken", None)),
        *(("pages_p0001", 0), ("pages_p0002", 1)),
    ]
    assert items[-1].label == f"{tmp_path / 'pages.tif'} page 2"
    # of which only some are read
    items = items_of(find_files([str(tmp_path)], tmp_path / "out"), 0, "segmentation")
    assert [(item.name, item.page) for item in items] == [(name, None) for name in ("a", "bands", "broken", "pages")]


def test_items_of__two_images_with_one_result_are_refused(tmp_path):
    for name in ("one/A.png", "two/a.jpg"):
        save(tmp_path / name, picture())
    files = find_files([str(tmp_path / "one"), str(tmp_path / "two")], tmp_path / "out")
    with pytest.raises(UserError, match=r"A\.png and .*a\.jpg would both be named a; predict them one"):
        items_of(files, 3, "segmentation")
    # the same file twice is predicted once
    again = find_files([str(tmp_path / "one"), str(tmp_path / "one/A.png")], tmp_path / "out")
    assert items_of(again, 3, "segmentation") == [Item(tmp_path / "one/A.png", None, "A")]
