"""Copies of training images in other splits."""

import shutil

from lightseg.data.datasets.file_copies import find_copies
from lightseg.data.datasets.mask_folder import MaskFolder
from tests.data.datasets.mask_folder_case import Case
from tests.data.fabricate import ids, picture, save


def splits(root):
    """Write four training images and two of `val`, all of one size in bytes."""
    for index in range(6):
        split = "train" if index < 4 else "val"
        save(root / f"{split}/images/{index}.bmp", picture(index, 64, 64))
        save(root / f"{split}/masks/{index}.png", ids(index, 64, 64))
    return root


def copies(root):
    data = MaskFolder(["background", "object"], root=str(root))
    return find_copies(data.dataset("train"), data.dataset("val"))


def test_find_copies__of_equal_bytes_alone(tmp_path):
    root = splits(tmp_path / "data")
    assert copies(root) == []
    shutil.copy(root / "train/images/2.bmp", root / "val/images/5.bmp")
    assert copies(root) == [("val/images/5.bmp", "train/images/2.bmp")]
    # equal at both ends, and not between them
    almost = picture(2, 64, 64)
    almost[32] ^= 1
    save(root / "val/images/5.bmp", almost)
    first, second = ((root / name).read_bytes() for name in ("train/images/2.bmp", "val/images/5.bmp"))
    assert (len(second), second[:4096], second[-4096:]) == (len(first), first[:4096], first[-4096:])
    assert copies(root) == []


def test_find_copies__are_warned_of_at_the_start(tmp_path, fit):
    case = Case(tmp_path, fit)
    shutil.rmtree(case.root)
    splits(case.root)
    shutil.copy(case.root / "train/images/3.bmp", case.root / "val/images/4.bmp")
    outcome = case.fit()
    assert outcome.code == 0, outcome.err
    (line,) = (line for line in outcome.err.splitlines() if "copies" in line)
    assert line.startswith("warning: 1 of 2 images of val are copies of training images, such as val/images/4.bmp of")
