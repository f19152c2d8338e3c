"""Recognition of a folder's layout."""

import pytest

from lightseg.data import ImageFolder, ImageTable, MaskFolder, MultilabelMaskFolder
from lightseg.errors import DataError
from lightseg.scaffold.layout import find_layout
from lightseg.scaffold.listing import list_folder
from tests.data.fabricate import ids, picture, save


@pytest.fixture
def layout_of(tmp_path):
    """Write images, of which those with `mask` in their path are masks, and find the layout."""

    def find(*files, **answers):
        for number, file in enumerate(files):
            save(tmp_path / file, ids(number) if "mask" in file else picture(number))
        return find_layout(list_folder(tmp_path), answers)

    return find


def test_find_layout__images_and_masks(layout_of, tmp_path):
    layout = layout_of("data/imgs/1.png", "data/masks/1_mask.png")
    assert layout.module is MaskFolder
    assert layout.options == {"root": str(tmp_path / "data"), "images": "imgs", "mask_suffix": "_mask"}
    assert (layout.content, layout.splits) == ("images in imgs/, masks in masks/ (*_mask)", "")


def test_find_layout__folders_of_splits_are_described(layout_of):
    layout = layout_of("val/images/b.png", "val/masks/b.png", "train/images/a.png", "train/masks/a.png")
    assert layout.splits == "folders train, val"
    assert layout.content == "images in images/, masks in masks/"


def test_find_layout__masks_beside_their_images(layout_of):
    content = layout_of("a.png", "a_mask.png").content
    assert content == "images in the folder itself, masks in the folder itself (*_mask)"


@pytest.mark.parametrize(
    ("files", "nested"),
    [(["cat/1.png", "dog/2.png"], {}), (["cat/1.png", "dog/young/2.png", "dog/3.png"], {"nested": "merge"})],
)
def test_find_layout__a_folder_for_each_class(layout_of, tmp_path, files, nested):
    layout = layout_of(*files)
    assert (layout.module, layout.options) == (ImageFolder, {"root": str(tmp_path), **nested})
    assert (layout.content, layout.splits) == ("a folder for each class", "")


def test_find_layout__a_table_comes_before_folders_of_classes(layout_of, tmp_path):
    rows = [f"{name}/{number}.png,{name},{'train' if number else 'val'}" for name in ("x", "y") for number in range(3)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    layout = layout_of(*(row.partition(",")[0] for row in rows))
    assert layout.module is ImageTable
    assert (layout.content, layout.splits) == ("paths and classes in list.csv", "column split")


def test_find_layout__a_mask_for_each_class(layout_of, tmp_path):
    files = [f"d/{folder}/{index}.png" for folder in ("images", "masks/a", "masks/b") for index in (1, 2)]
    layout = layout_of(*files)
    assert (layout.module, layout.options) == (
        MultilabelMaskFolder,
        {"root": str(tmp_path / "d"), "classes": ["a", "b"]},
    )
    assert layout.content == "a mask for each class of an image, masks/{class}/{name}"
    # one file for all classes is what the option is for
    assert layout_of(values={0: "a", 1: "b"}, masks="masks/a").module is MaskFolder


def test_find_layout__lists_of_images_and_masks_need_no_other_option(layout_of, tmp_path):
    for split, index in (("train", 1), ("val", 2)):
        (tmp_path / f"{split}.csv").write_text(f"image,mask\nimgs/{index}.png,masks/{index}_mask.png\n")
    layout = layout_of("imgs/1.png", "imgs/2.png", "masks/1_mask.png", "masks/2_mask.png")
    lists = {"train": "train.csv", "val": "val.csv"}
    assert (layout.module, layout.options) == (MaskFolder, {"root": str(tmp_path), "splits": lists})
    assert (layout.content, layout.splits) == ("images and masks in train.csv, val.csv", "train.csv, val.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a", r"data\.yaml: is no YAML \(.*\); correct it; nothing else labels the images of "),
        ("a: &a [1, 2]\nb: &b [*b]\n", r"data\.yaml: .*; nothing else labels the images of "),
    ],
)
def test_find_layout__a_damaged_file_of_annotations_is_named(layout_of, tmp_path, text, message):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        layout_of("1.png", "2.png")


def test_find_layout__nothing_that_labels_the_images(layout_of):
    with pytest.raises(DataError, match=r"2 images and nothing that labels them, .* --data\.masks NAME$"):
        layout_of("a.png", "b.png")


def test_find_layout__no_image(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"no file is an image; .*; name the folder of the images$"):
        find_layout(list_folder(tmp_path), {})
