import numpy as np
import pytest

from lightseg.errors import DataError
from lightseg.scaffold.listing import list_folder
from lightseg.scaffold.mask_layout import find_mask_options, find_pair_lists
from tests.data.fabricate import ids, picture, save

IMAGE, MASK = picture(), ids()


def options(root, files, **answers):
    """The options for a folder with these files, of which some are masks."""
    for file in files:
        save(root / file, MASK if "mask" in file or "gt" in file or "Class" in file else IMAGE)
    return find_mask_options(list_folder(root).descend(), answers)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["images/a.png", "masks/a.png"], {}),
        (["data/Images/a.png", "data/Masks/a.png"], {"images": "Images", "masks": "Masks"}),
        (["train/imgs/a.png", "train/gt/a.png", "val/imgs/b.png", "val/gt/b.png"], {"images": "imgs", "masks": "gt"}),
        (["imgs/train/a.png", "gt/train/a.png"], {"images": "imgs", "masks": "gt"}),
        (["a.png", "masks/a.png"], {"images": "."}),
        (["a.png", "a_mask.png"], {"images": ".", "masks": ".", "mask_suffix": "_mask"}),
        # the only folder is the root
        (["images/a.png", "images/a-gt.png"], {"images": ".", "masks": ".", "mask_suffix": "-gt"}),
        (["images/a.png", "images/a-gt.png", "b/x.png"], {"masks": "images", "mask_suffix": "-gt"}),
        (["images/1_sat.png", "masks/1_mask.png"], {"image_suffix": "_sat", "mask_suffix": "_mask"}),
        (["scans/a.png", "mask/a.png", "readme/x.png"], {"images": "scans", "masks": "mask"}),
        # unknown names are told apart by their content
        (["one/a.png", "gt_of_one/a.png"], {"images": "one", "masks": "gt_of_one"}),
        (
            ["leftImg8bit/a/1_leftImg8bit.png", "gtFine/a/1_gtFine_labelIds.png"],
            {
                "images": "leftImg8bit",
                "masks": "gtFine",
                "image_suffix": "_leftImg8bit",
                "mask_suffix": "_gtFine_labelIds",
            },
        ),
        (["images/a.png", "annotations/trimaps/a.mask.png"], {"masks": "annotations/trimaps", "mask_suffix": ".mask"}),
        # a folder for each image
        (
            ["1/image.png", "1/mask.png", "2/image.png", "2/mask.png"],
            {"images": ".", "masks": ".", "image_suffix": "/image", "mask_suffix": "/mask"},
        ),
        (["cat/1.png", "dog/2.png"], None),
        (["with_mask/1.png", "without_mask/2.png"], None),
        (["mask/1.png", "no_mask/2.png"], None),
        (["a.png", "b.png"], None),
    ],
    ids=str,
)
def test_find_mask_options(tmp_path, files, expected):
    assert options(tmp_path, files) == expected


def test_find_mask_options__lists_of_pascal_voc(tmp_path):
    base = tmp_path / "VOCdevkit/VOC2012"
    (base / "ImageSets").mkdir(parents=True)
    for split, name in (("train", "a"), ("val", "b"), ("trainval", "a")):
        (base / "ImageSets" / f"{split}.txt").write_text(f"{name}\n")
    files = [f"VOCdevkit/VOC2012/{kind}/{name}.png" for kind in ("JPEGImages", "SegmentationClass") for name in "ab"]
    assert options(tmp_path, files) == {
        "images": "JPEGImages",
        "masks": "SegmentationClass",
        "splits": {"train": "ImageSets/train.txt", "val": "ImageSets/val.txt"},
    }


def test_find_mask_options__two_folders_of_masks(tmp_path):
    with pytest.raises(DataError, match=r"gt and masks may each hold the masks; name the folder: --data.masks gt"):
        options(tmp_path, ["images/a.png", "masks/a.png", "gt/a.png"])


def test_find_mask_options__an_answer(tmp_path):
    files = ["images/a.png", "masks/a.png", "gt/a.png"]
    assert options(tmp_path, files, masks="gt") == {"masks": "gt"}


def test_find_mask_options__drawings_in_folders_of_classes(tmp_path):
    assert options(tmp_path, ["gt_a/1.png", "gt_b/1.png"]) is None


def test_find_mask_options__unknown_names_of_photos_are_no_masks(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("left", "right"):
        save(tmp_path / name / "1.png", rng.integers(0, 256, (32, 32, 3), np.uint8))
    assert find_mask_options(list_folder(tmp_path), {}) is None


@pytest.mark.parametrize(
    ("header", "separator", "suffix"), [("", " ", ".txt"), ("image,mask\n", ",", ".csv"), ("a\tb\n", "\t", ".tsv")]
)
def test_find_pair_lists(tmp_path, header, separator, suffix):
    for name in ("1", "2"):
        save(tmp_path / f"x/{name}.png", IMAGE)
        save(tmp_path / f"y/m{name}.png", MASK)
    for split, name in (("train", "1"), ("valid", "2")):
        (tmp_path / f"{split}{suffix}").write_text(f"{header}x/{name}.png{separator}y/m{name}.png\n")
    listing = list_folder(tmp_path)
    assert find_pair_lists(listing) == {"train": f"train{suffix}", "val": f"valid{suffix}"}


@pytest.mark.parametrize("line", ["x/1.png", "x/1.png,cat", "x/1.png,y/gone.png", ""])
def test_find_pair_lists__other_lists(tmp_path, line):
    save(tmp_path / "x/1.png", IMAGE)
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text(line)
    assert find_pair_lists(list_folder(tmp_path)) == {}
