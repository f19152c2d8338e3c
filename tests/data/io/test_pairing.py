import pytest

from lightseg.data.io.pairing import Pair, find_pairs
from lightseg.errors import DataError


def test_find_pairs__names_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="the folder does not exist; did you mean .*images"):
        find_pairs(tmp_path, "image", "masks")


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_find_pairs__the_hint_names_no_mask_of_another_image(tmp_path):
    _touch(tmp_path, *(f"images/street{index}.jpg" for index in range(3)), "masks/street0.png", "masks/street1.png")
    with pytest.raises(DataError, match=r"street2\.jpg: no mask for this image.*; add the mask or remove the image;"):
        find_pairs(tmp_path, "images", "masks")
    _touch(tmp_path, "masks/street22.png")
    with pytest.raises(DataError, match=r"street2\.jpg: no mask for this image.*the nearest name is masks/street22"):
        find_pairs(tmp_path, "images", "masks")


def test_find_pairs__of_one_name_and_two_extensions_in_one_folder(tmp_path):
    _touch(tmp_path, "a.jpg", "a.png", "b/c.jpg", "b/c.png")
    pairs = find_pairs(tmp_path, ".", ".", ".jpg", ".png")
    assert pairs == [Pair("a", "a.jpg", "a.png"), Pair("b/c", "b/c.jpg", "b/c.png")]
    _touch(tmp_path, "d.jpg")
    with pytest.raises(DataError, match=r"d\.jpg: no mask for this image; looked for .*/d\.png; add the mask"):
        find_pairs(tmp_path, ".", ".", ".jpg", ".png")
