import re
import shutil

import numpy as np
import pytest
import tifffile

from lightseg.data.datasets.mask_folder import MaskFolder
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE
from tests.data.datasets.mask_folder_case import TWO, all_names, complaint, names
from tests.data.fabricate import folder, ids, picture, save


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))


# ---- layouts -------------------------------------------------------------------------------------------------------


def test_mask_folder__fractions(tmp_path):
    module = MaskFolder(TWO, root=str(folder(tmp_path, 20)), val_fraction=0.2, test_fraction=0.1)
    splits = all_names(module)
    assert {split: len(files) for split, files in splits.items()} == {"train": 14, "val": 4, "test": 2}
    assert len({name for files in splits.values() for name in files}) == 20


def test_mask_folder__fraction_split_does_not_depend_on_file_order_or_run_seed(tmp_path):
    first, second = folder(tmp_path / "a", 20), tmp_path / "b"
    for path in sorted(first.rglob("*.png"), reverse=True):
        (second / path.relative_to(first)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, second / path.relative_to(first))
    splits = all_names(MaskFolder(TWO, root=str(first)))
    assert splits == all_names(MaskFolder(TWO, root=str(second)))
    assert splits != all_names(MaskFolder(TWO, root=str(first), split_seed=1))


def test_mask_folder__test_split_does_not_depend_on_val_fraction(tmp_path):
    root = str(folder(tmp_path, 20))
    assert names(MaskFolder(TWO, root=root, val_fraction=0.3), "test") == names(MaskFolder(TWO, root=root), "test")


def test_mask_folder__a_new_file_moves_few_others(tmp_path):
    root = folder(tmp_path, 40)
    before = all_names(MaskFolder(TWO, root=str(root)))
    folder(root, 1, first=40)
    after = all_names(MaskFolder(TWO, root=str(root)))
    assert len(set(before["train"]) - set(after["train"])) <= 2


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
def test_mask_folder__split_folders(tmp_path, layout):
    for first, split in enumerate(("train", "valid", "test")):
        kinds = {f"{kind}s": layout.format(split=split, kind=f"{kind}s") for kind in ("image", "mask")}
        folder(tmp_path, 3, first=10 * first, **kinds)
    module = MaskFolder(TWO, root=str(tmp_path))
    image_folder = layout.format(split="valid", kind="images")
    assert names(module, "val") == [f"{image_folder}/{i}.png" for i in (10, 11, 12)]
    assert [len(module.dataset(split)) for split in ("train", "val", "test")] == [3, 3, 3]


def test_mask_folder__without_a_test_folder_test_is_empty(tmp_path):
    folder(tmp_path / "train")
    folder(tmp_path / "val", 3)
    module = MaskFolder(TWO, root=str(tmp_path))
    module.check()
    assert len(module.dataset("test")) == 0
    assert module.class_counts("test").tolist() == [0, 0]


def test_mask_folder__without_a_val_folder_val_comes_from_train(tmp_path):
    folder(tmp_path / "train", 20)
    folder(tmp_path / "test", 3)
    splits = all_names(MaskFolder(TWO, root=str(tmp_path)))
    assert [len(splits[split]) for split in ("train", "val", "test")] == [17, 3, 3]
    assert all(name.startswith("train/") for name in splits["val"])
    assert not set(splits["train"]) & set(splits["val"])


def test_mask_folder__list_files(tmp_path):
    folder(tmp_path, 6)
    (tmp_path / "train.txt").write_text("# comment\n0\nimages/1.png\n\n2.png\n")
    (tmp_path / "val.txt").write_text("\ufeffmasks/3.png\r\n".replace("masks/", "images/"))
    module = MaskFolder(TWO, root=str(tmp_path), splits={"train": "train.txt", "val": "val.txt"})
    assert all_names(module) == {
        "train": ["images/0.png", "images/1.png", "images/2.png"],
        "val": ["images/3.png"],
        "test": [],
    }


def test_mask_folder__masks_may_lie_elsewhere(tmp_path):
    folder(tmp_path / "data", 8)
    (tmp_path / "data" / "masks").rename(tmp_path / "labels")
    module = MaskFolder(TWO, root=str(tmp_path / "data"), masks=str(tmp_path / "labels"))
    module.check()
    assert len(module.dataset("train").cache_key()) == 64


def test_mask_folder__nested_folders_and_suffixes(tmp_path):
    for city in ("aachen", "bonn"):
        for index in range(3):
            save(tmp_path / "images" / city / f"{index}_left.png", picture(index))
            save(tmp_path / "masks" / city / f"{index}_ids.png", ids(index))
            save(tmp_path / "masks" / city / f"{index}_color.png", picture(index))
    module = MaskFolder(TWO, root=str(tmp_path), image_suffix="_left", mask_suffix="_ids")
    module.check()
    everything = sorted(name for files in all_names(module).values() for name in files)
    assert everything[0] == "images/aachen/0_left.png"
    assert len(everything) == 6


def test_mask_folder__a_folder_for_each_sample(tmp_path):
    for index in range(10):
        save(tmp_path / f"all/{index}/photo.png", picture())
        save(tmp_path / f"all/{index}/label.png", ids())
    module = MaskFolder(TWO, root=str(tmp_path), images="all", masks="all", image_suffix="/photo", mask_suffix="/label")
    assert sorted(name for files in all_names(module).values() for name in files) == [
        f"all/{index}/photo.png" for index in range(10)
    ]


def test_mask_folder__hidden_files_are_no_images(tmp_path):
    folder(tmp_path)
    save(tmp_path / "images" / "._0.png", picture())
    save(tmp_path / "images" / ".ipynb_checkpoints" / "0.png", picture())
    MaskFolder(TWO, root=str(tmp_path)).check()


def test_mask_folder__groups_never_straddle(tmp_path):
    for patient in range(12):
        folder(tmp_path, 1 + patient % 4, images=f"images/p{patient}", masks=f"masks/p{patient}")
    for split_seed in range(5):
        module = MaskFolder(TWO, root=str(tmp_path), group="images/(p[0-9]+)/", split_seed=split_seed)
        homes = [{name.split("/")[1] for name in files} for files in all_names(module).values()]
        assert all(homes)
        assert len(set.union(*homes)) == sum(map(len, homes)) == 12


def test_mask_folder__groups_are_checked_in_given_splits(tmp_path):
    for split in ("train", "val"):
        folder(tmp_path / split, 2, images="images/p1", masks="masks/p1")
    message = complaint(tmp_path, group="/(p[0-9]+)/")
    assert "of group 'p1': in train and in val" in message


# ---- samples -------------------------------------------------------------------------------------------------------


def test_mask_folder__counts_equal_a_count_by_hand(tmp_path):
    for index in range(4):
        save(tmp_path / "train" / "images" / f"{index}.png", picture(index, 2, 3))
        save(tmp_path / "train" / "masks" / f"{index}.png", np.array([[0, 0, 1], [1, 1, 255]], np.uint8))
    module = MaskFolder(TWO, root=str(tmp_path), val_fraction=0.25)
    assert module.class_counts("train").tolist() == [6, 9]
    assert module.class_counts("val").tolist() == [2, 3]


def test_mask_folder__cached_counts_follow_the_files_and_the_labels(tmp_path):
    folder(tmp_path / "train", 4)
    before = MaskFolder(TWO, root=str(tmp_path)).class_counts()
    save(tmp_path / "train" / "masks" / "1.png", np.ones((12, 16), np.uint8))
    save(tmp_path / "train" / "masks" / "2.png", np.ones((12, 16), np.uint8))
    after = MaskFolder(TWO, root=str(tmp_path)).class_counts()
    assert before.tolist() != after.tolist()
    swapped = MaskFolder(TWO, {0: "road", 1: "background"}, root=str(tmp_path)).class_counts()
    assert swapped.tolist() == after.tolist()[::-1]


def test_mask_folder__mixed_sizes_and_formats(tmp_path):
    for index in range(9):
        save(tmp_path / "images" / f"{index}.{('jpg', 'png', 'tif')[index % 3]}", picture(index, 10 + index, 12))
        save(tmp_path / "masks" / f"{index}.png", ids(index, 10 + index, 12))
    module = MaskFolder(TWO, root=str(tmp_path))
    module.check()
    assert {module.dataset("train")[i][0].shape[1] for i in range(len(module.dataset("train")))} == {12}


def test_mask_folder__many_channels(tmp_path):
    for index in range(8):
        (tmp_path / "images").mkdir(exist_ok=True)
        data = np.random.default_rng(index).random((5, 12, 16), np.float32)
        tifffile.imwrite(tmp_path / "images" / f"{index}.tif", data, photometric="minisblack")
        save(tmp_path / "masks" / f"{index}.png", ids(index))
    module = MaskFolder(TWO, root=str(tmp_path), channels=5, batch_size=2, num_workers=0)
    assert module.in_channels == 5
    module.check()
    mean, std = module.pixel_stats()
    assert np.allclose(mean, 0.5, atol=0.1)
    assert np.allclose(std, 12**-0.5, atol=0.05)
    assert next(iter(module.train_dataloader()))["image"].shape == (2, 5, 12, 16)


def test_mask_folder__16_bit_statistics_are_measured(tmp_path):
    folder(tmp_path)
    assert MaskFolder(TWO, root=str(tmp_path)).pixel_stats()[0] == (0.485, 0.456, 0.406)
    for path in (tmp_path / "images").iterdir():
        save(path, np.full((12, 16, 3), 13107, np.uint16))
    mean, std = MaskFolder(TWO, root=str(tmp_path)).pixel_stats()
    assert np.allclose(mean, 0.2)
    assert np.allclose(std, 1)


def test_mask_folder__palette_comes_from_colors(tmp_path):
    colors = {"background": [0, 0, 0], "road": [[1, 2, 3], [4, 5, 6]]}
    assert MaskFolder(TWO, colors=colors).palette == [(0, 0, 0), (1, 2, 3)]
    partly = MaskFolder(TWO, {0: "background", 1: "road"}, {"road": [9, 9, 9]})
    assert partly.palette == [(0, 0, 0), (9, 9, 9)]


def test_mask_folder__a_broken_image_in_mid_epoch_is_named(tmp_path):
    folder(tmp_path)
    module = MaskFolder(TWO, root=str(tmp_path))
    module.check()
    path = tmp_path / names(module, "train")[2]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: this image cannot be read"):
        module.dataset("train")[2]


# ---- what folders may have wrong -----------------------------------------------------------------------------------


def test_mask_folder__missing_root_with_a_near_name(tmp_path):
    folder(tmp_path / "my_data")
    message = complaint(tmp_path / "my_dta")
    assert "the folder does not exist; did you mean" in message
    assert "my_data?" in message


def test_mask_folder__missing_folder_with_a_near_name(tmp_path):
    folder(tmp_path, images="imgs", masks="mask")
    message = complaint(tmp_path)
    assert "no folder images and no folder masks; it holds imgs/, mask/; did you mean" in message
    assert "train/images/" in message
    MaskFolder(TWO, root=str(tmp_path), images="imgs", masks="mask").check()


def test_mask_folder__missing_suffix_is_suggested(tmp_path):
    folder(tmp_path)
    for path in list((tmp_path / "masks").iterdir()):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    assert 'set mask_suffix: "_mask"' in complaint(tmp_path)


def test_mask_folder__two_files_with_one_name(tmp_path):
    folder(tmp_path)
    save(tmp_path / "images" / "3.jpg", picture())
    assert "images/3.jpg and images/3.png have one name" in complaint(tmp_path)


def test_mask_folder__empty_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    assert "images: no file here is an image; the folder is empty" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        ("0\n1\n", "1\n2\n", "images/1.png: in train and in val"),
        ("0\n17\n", "2\n", "train.txt: '17' is not an image here; did you mean 1"),
        ("0\n", "", "val.txt: the list of the val split names no image"),
        ("0\n", None, "val.txt: the list of the val split does not exist"),
    ],
)
def test_mask_folder__broken_lists(tmp_path, train, val, words):
    folder(tmp_path, 2)
    folder(tmp_path, 3, first=10)
    save(tmp_path / "images" / "2.png", picture())
    save(tmp_path / "masks" / "2.png", ids())
    (tmp_path / "train.txt").write_text(train)
    if val is not None:
        (tmp_path / "val.txt").write_text(val)
    assert words in complaint(tmp_path, splits={"train": "train.txt", "val": "val.txt"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "must each be 0 or more, with a sum below 1, got 0.6, 0.5"),
        ({"splits": {"train": "train.txt"}}, "no list for val"),
        ({"group": "("}, "is not a regular expression"),
        ({"group": "p[0-9]"}, "needs parentheses"),
        ({"channels": 0}, "data.channels: 0"),
    ],
)
def test_mask_folder__contradictory_options(tmp_path, options, words):
    assert words in complaint(folder(tmp_path), ConfigError, **options)


def test_mask_folder__too_few_samples_or_groups(tmp_path):
    assert "2 samples cannot fill 3 splits" in complaint(folder(tmp_path / "a", 2))
    assert "1 group cannot fill 3 splits" in complaint(folder(tmp_path / "b"), group="(images)")
    assert "does not match images/0.png (10 of 10 images)" in complaint(tmp_path / "b", group="(patient)")


def test_mask_folder__wholly_void_mask_is_allowed(tmp_path):
    folder(tmp_path)
    save(tmp_path / "masks" / "3.png", np.full((12, 16), IGNORE, np.uint8))
    MaskFolder(TWO, root=str(tmp_path)).check()
