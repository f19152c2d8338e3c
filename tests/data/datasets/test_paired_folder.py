"""Layouts of folders of images and masks: lists of pairs, and options that have no effect in a layout."""

import numpy as np
import pytest

from lightseg.data.datasets.mask_folder import MaskFolder
from lightseg.errors import ConfigError
from lightseg.scaffold.listing import list_folder
from lightseg.scaffold.mask_layout import find_mask_options
from tests.data.datasets.mask_folder_case import TWO, all_names, complaint, names
from tests.data.fabricate import folder, picture

# ---- lists of pairs ------------------------------------------------------------------------------------------------


def pair_lists(root, train, val):
    """Write lists of pairs, of the names of images, whose masks have the same name in `masks`."""
    for split, images in (("train", train), ("val", val)):
        lines = [f"{image}\t{image.replace('images/', 'masks/')}\n" for image in images]
        (root / f"{split}.txt").write_text("".join(lines))
    return {"train": "train.txt", "val": "val.txt"}


def test_pair_lists__names_of_one_file_are_one_sample(tmp_path):
    root = folder(tmp_path / "data", 8)
    (tmp_path / "link").symlink_to(root)
    others = ["./images/0.png", "images//0.png", "images/../images/0.png", f"{root}/images/0.png"]
    others += [f"{tmp_path}/link/images/0.png", f"{tmp_path}/data/../data/images/0.png"]
    for base in (root, tmp_path / "link"):
        lists = pair_lists(root, [*others, "images/0.png", "images/1.png", *others], [f"{base}/images/2.png"])
        splits = all_names(MaskFolder(TWO, root=str(base), splits=lists))
        assert splits == {"train": ["images/0.png", "images/1.png"], "val": ["images/2.png"], "test": []}
        for name in others:
            lists = pair_lists(root, ["images/0.png", "images/1.png"], [name, "images/2.png"])
            assert "a split must not leak into another" in complaint(base, splits=lists)


def test_pair_lists__below_the_names_of_columns(tmp_path):
    root = folder(tmp_path, 4)
    splits = {"train": ["images/0.png", "images/1.png"], "val": ["images/2.png"]}
    for split, images in splits.items():
        rows = [f"{image},{image.replace('images', 'masks')}" for image in images]
        (root / f"{split}.csv").write_text("\n".join(["image, mask", *rows]))
    module = MaskFolder(TWO, root=str(root), splits={"train": "train.csv", "val": "val.csv"})
    assert all_names(module) == {**splits, "test": []}
    assert find_mask_options(list_folder(root), {}) == {"splits": {"train": "train.csv", "val": "val.csv"}}


def test_pair_lists__links_to_one_file_are_a_leak(tmp_path):
    root = folder(tmp_path, 4)
    for kind in ("images", "masks"):
        (root / f"{kind}/copy.png").symlink_to(root / f"{kind}/0.png")
        (root / f"{kind}/hard.png").hardlink_to(root / f"{kind}/1.png")
    for image in ("images/copy.png", "images/hard.png"):
        lists = pair_lists(root, ["images/0.png", "images/1.png"], [image, "images/2.png"])
        assert f"{image} of group 'images/" in complaint(root, splits=lists)


def test_pair_lists__parent_behind_a_link_is_another_folder(tmp_path):
    root = folder(tmp_path / "data", 4)
    folder(tmp_path / "far/data", 4, first=10)
    (root / "other").symlink_to(tmp_path / "far/data/images")
    (root / "train.txt").write_text("other/../images/10.png\tother/../masks/10.png\n")
    (root / "val.txt").write_text("images/2.png\tmasks/2.png\n")
    module = MaskFolder(TWO, root=str(root), splits={"train": "train.txt", "val": "val.txt"})
    assert names(module, "train") == ["other/../images/10.png"]
    assert np.array_equal(module.dataset("train")[0][0], picture(10))


def test_lists__names_of_one_file_are_one_sample(tmp_path):
    (tmp_path / "train.txt").write_text("0\n./images/0.png\nimages/../images/0.png\n1\n")
    (tmp_path / "val.txt").write_text("2\n")
    root = str(folder(tmp_path, 4))
    module = MaskFolder(TWO, root=root, splits={"train": "train.txt", "val": "val.txt"})
    assert names(module, "train") == ["images/0.png", "images/1.png"]


# ---- options without effect ----------------------------------------------------------------------------------------


def by_split(root):
    for number, split in enumerate(("train", "val", "test")):
        folder(root / split, 4, first=4 * number)
    return root


def lists_of_names(root):
    folder(root, 8)
    (root / "train.txt").write_text("0\n1\n2\n3\n")
    (root / "val.txt").write_text("4\n")
    return {"splits": {"train": "train.txt", "val": "val.txt"}}


def lists_of_pairs(root):
    folder(root, 8)
    return {"splits": pair_lists(root, [f"images/{index}.png" for index in range(4)], ["images/4.png"])}


def refused_start(root, **options):
    """Return the message of the check before a training."""
    with pytest.raises(ConfigError) as caught:
        MaskFolder(TWO, root=str(root), batch_size=2, num_workers=0, **options).check_training()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("val_fraction", 0.3), ("test_fraction", 0.0), ("split_seed", 1)])
def test_mask_folder__options_of_a_random_split_where_there_is_none(tmp_path, name, value):
    for number, make in enumerate((lambda root: by_split(root) and {}, lists_of_names, lists_of_pairs)):
        root = tmp_path / str(number)
        options = make(root)
        message = refused_start(root, **options, **{name: value})
        assert message.startswith(f"data.{name}: {value} changes nothing, since {'lists' if options else 'folders'}")
        assert message.endswith(f"set it back to {0 if name == 'split_seed' else 0.15}")
        MaskFolder(TWO, root=str(root), batch_size=2, num_workers=0, **options).check_training()
        # a trained net may be scored on data of another layout
        MaskFolder(TWO, root=str(root), batch_size=2, num_workers=0, **options, **{name: value}).check()


def test_mask_folder__options_of_a_random_split_with_an_effect(tmp_path):
    folder(tmp_path / "train", 8)
    options = {"root": str(tmp_path), "batch_size": 2, "num_workers": 0}
    MaskFolder(TWO, **options, val_fraction=0.3, split_seed=1).check_training()
    assert "data.test_fraction: 0.3 changes nothing" in refused_start(tmp_path, test_fraction=0.3)
    root = by_split(tmp_path / "splits")
    MaskFolder(TWO, **(options | {"root": str(root)}), folds=2, fold=0, split_seed=1).check_training()


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [("missing_mask", "skip", "error"), ("mask_suffix", "_m", ""), ("image_suffix", "_i", ""), ("masks", "m", "masks")],
)
def test_mask_folder__options_of_pairing_where_lists_name_pairs(tmp_path, name, value, default):
    message = refused_start(tmp_path, **lists_of_pairs(tmp_path), **{name: value})
    assert message.startswith(f"data.{name}: {value} changes nothing, since the lists name every image and its mask")
    assert message.endswith(f"set it back to {default!r}")
