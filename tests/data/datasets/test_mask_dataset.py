"""Masks and images as files: what is counted, and fourteen kinds of broken masks, each with its own message."""

import re

import numpy as np
import pytest
from PIL import Image

from lightseg.data import dataset as dataset_module
from lightseg.data.datasets.mask_dataset import MaskDataset, SizeError
from lightseg.data.datasets.mask_folder import MaskFolder
from lightseg.data.io.pairing import Pair
from lightseg.files.disk_cache import cache_dir
from lightseg.labels import IGNORE
from tests.data.datasets.mask_folder_case import TWO, complaint
from tests.data.fabricate import folder, ids, picture, save, save_palette


@pytest.fixture
def dataset(tmp_path):
    """Return images with the masks 0 and 1, with a turned mask, and without a mask."""
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "a_mask.png", ids(0, values=(0, 1, IGNORE)))
    turned = Image.Exif()
    turned[0x0112] = 3
    save(tmp_path / "b.png", picture(1))
    save(tmp_path / "b_mask.png", ids(1), exif=turned)
    save(tmp_path / "c.png", picture(2))
    label_map = MaskFolder(TWO).label_map
    pairs = [Pair("a", "a.png", "a_mask.png"), Pair("b", "b.png", "b_mask.png"), Pair("c", "c.png", "")]
    return MaskDataset(tmp_path, pairs, label_map)


def test_mask_dataset__samples_are_the_files(dataset):
    image, mask = dataset[0]
    assert np.array_equal(image, picture(0))
    assert np.array_equal(mask, ids(0, values=(0, 1, IGNORE)))
    assert np.array_equal(dataset[1][1], ids(1)[::-1, ::-1])
    assert np.array_equal(dataset[2][1], np.zeros((12, 16)))
    assert [dataset.mask_name(index) for index in range(3)] == ["a_mask.png", "b_mask.png", ""]
    assert [dataset.is_turned_alone(index) for index in range(3)] == [False, True, False]


def test_label_table__counts_and_a_hash_of_the_ids(dataset, tmp_path):
    table = dataset.label_table(2)
    first = ids(0, values=(0, 1, IGNORE))
    assert table[0, :2].tolist() == [(first == 0).sum(), (first == 1).sum()]
    assert table[2, :2].tolist() == [12 * 16, 0]
    assert np.array_equal(dataset.class_table(2), table[:, :2])
    # as many pixels of each class, elsewhere
    save(tmp_path / "a_mask.png", first[::-1])
    changed = dataset.label_table(2)
    assert changed[0, :2].tolist() == table[0, :2].tolist()
    assert changed[0, 2] != table[0, 2]
    assert changed[1:].tolist() == table[1:].tolist()


def test_mask_values__are_read_again_by_other_code(dataset, monkeypatch):
    dataset = dataset.subset(np.array([0]))
    for code in ("one", "one", "another"):
        monkeypatch.setattr(dataset_module, "source_digest", lambda *_parts, code=code: code)
        dataset.mask_values()
    assert len([*cache_dir().glob("mask-values-*")]) == 2


def test_require_same_size__names_both_sizes(dataset):
    dataset.require_same_size(0, (3, 4), (3, 4))
    with pytest.raises(SizeError, match=r"a_mask\.png: is 9×3, but its image a\.png is 4×3 .* export the mask at"):
        dataset.require_same_size(0, (3, 4), (3, 9))
    with pytest.raises(SizeError, match="the image's EXIF orientation may turn it"):
        dataset.require_same_size(0, (3, 4), (4, 3))


# ---- broken masks --------------------------------------------------------------------------------------------------


def zero_255(root):
    folder(root, values=(0, 255))


def counted_from_one(root):
    folder(root, values=(1, 2))


def colored(root):
    folder(root)
    save(root / "masks" / "3.png", np.where(ids(3)[..., None] == 1, (128, 64, 128), (0, 0, 0)).astype(np.uint8))


def palette(root):
    folder(root)
    save_palette(root / "masks" / "3.png", ids(3, values=(0, 3)))


def jpeg(root):
    folder(root)
    save(root / "masks" / "3.jpg", ids(3) * 255)
    (root / "masks" / "3.png").unlink()


def interpolated(root):
    folder(root)
    mask = Image.fromarray(ids(3, 6, 8) * 255).resize((16, 12), Image.Resampling.BILINEAR)
    save(root / "masks" / "3.png", np.asarray(mask))


def wrong_size(root):
    folder(root)
    save(root / "masks" / "3.png", ids(3, 6, 8))


def turned(root):
    folder(root)
    save(root / "masks" / "3.png", ids(3).T.copy())


def no_mask(root):
    folder(root)
    (root / "masks" / "3.png").unlink()


def no_image(root):
    folder(root)
    (root / "images" / "3.png").unlink()


def unreadable(root):
    folder(root)
    (root / "masks" / "3.png").write_bytes((root / "masks" / "3.png").read_bytes()[:50])


def empty(root):
    folder(root)
    (root / "masks" / "3.png").write_bytes(b"")


def fractions(root):
    folder(root)
    (root / "masks" / "3.png").unlink()
    np.save(root / "masks" / "3.npy", np.full((12, 16), 0.25))


def undeclared(root):
    folder(root)
    save(root / "masks" / "3.png", ids(3, values=(0, 1, 7)))


def unread_image(root):
    folder(root)
    (root / "images" / "3.png").rename(root / "images" / "3.TGA")


def unread_mask(root):
    folder(root)
    (root / "masks" / "3.png").rename(root / "masks" / "3.tga")


BROKEN = {
    zero_255: ("the masks hold only 0 (", "values: {0: background, 255: road}", "ignore: [255]"),
    counted_from_one: ("counted from 1", "values: {1: background, 2: road}"),
    colored: ("masks/3.png: the mask is RGB", "colors: {CLASS: ", "[128, 64, 128]"),
    palette: ("masks/3.png: value 3 (", "palette color [128, 128, 0]", "values: {0: background, 1: road, 3: CLASS}"),
    jpeg: ("masks/3.jpg: this mask is a JPEG", "as PNG"),
    interpolated: ("masks/3.png", "looks interpolated", "nearest neighbor"),
    wrong_size: ("masks/3.png: is 8×6, but its image images/3.png is 16×12",),
    turned: ("masks/3.png: is 12×16, but its image images/3.png is 16×12", "EXIF"),
    no_mask: ("images/3.png: no mask for this image", "masks/3.*"),
    no_image: ("masks/3.png: no image for this mask", "images/3.*"),
    unread_image: ("masks/3.png: no image for this mask", "3.TGA has a format that is not read", ".tiff"),
    unread_mask: ("images/3.png: no mask for this image", "3.tga has a format that is not read", ".tiff"),
    unreadable: ("masks/3.png: this mask cannot be read",),
    empty: ("masks/3.png: this mask is an empty file",),
    fractions: ("masks/3.npy: holds 0.25; a mask holds whole class ids",),
    undeclared: ("masks/3.png: value 7 (", "values: {0: background, 1: road, 7: CLASS}", "ignore: [255, 7]"),
}


@pytest.mark.parametrize("breaks", BROKEN, ids=lambda breaks: breaks.__name__)
def test_mask_dataset__broken_masks(tmp_path, breaks):
    breaks(tmp_path)
    message = complaint(tmp_path)
    for words in BROKEN[breaks]:
        assert words in message


def test_mask_dataset__broken_masks_have_distinct_messages(tmp_path):
    messages = set()
    for breaks in BROKEN:
        breaks(tmp_path / breaks.__name__)
        messages.add(re.sub(r"^.*?: |\d+", "", complaint(tmp_path / breaks.__name__)))
    assert len(messages) == len(BROKEN)


def test_mask_dataset__the_printed_line_for_0_255_is_the_fix(tmp_path):
    zero_255(tmp_path)
    MaskFolder(TWO, {0: "background", 255: "road"}, root=str(tmp_path)).check()
    MaskFolder(TWO, ignore=[255], root=str(tmp_path)).check()


def test_mask_dataset__values_of_many_masks_get_one_line(tmp_path):
    for index in range(6):
        folder(tmp_path / "train", 1, values=(0, 1, 10 + index), first=index)
    message = complaint(tmp_path, val_fraction=0.2)
    assert "masks/0.png and 4 more files of this split: value 10 (" in message
    assert "15: CLASS}" in message


def test_mask_dataset__other_broken_files_are_counted(tmp_path):
    folder(tmp_path / "train", 6)
    for index in range(6):
        (tmp_path / "train" / "masks" / f"{index}.png").write_bytes(b"")
    assert "(and 4 more broken files" in complaint(tmp_path, val_fraction=0.2)
