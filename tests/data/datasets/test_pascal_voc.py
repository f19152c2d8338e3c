import numpy as np
import pytest

from lightseg.data.datasets.pascal_voc import PascalVOC
from lightseg.errors import DataError
from tests.data import fabricate


def test_pascal_voc__palette_masks_are_indices_and_255_is_void(tmp_path):
    module = PascalVOC(str(fabricate.pascal_voc(tmp_path)))
    _, mask = module.dataset("test")[0]
    assert np.array_equal(mask, fabricate.ids(0, values=(0, 1, 2, 3, 255)))


def test_pascal_voc__test_is_the_official_val_list(tmp_path):
    module = PascalVOC(str(fabricate.pascal_voc(tmp_path)), val_fraction=0.2)
    assert [len(module.dataset(split)) for split in ("train", "val", "test")] == [8, 2, 4]
    assert module.dataset("test").name(0) == "JPEGImages/2007_val0.jpg"
    assert module.dataset("val").name(0).startswith("JPEGImages/2007_train")


def test_pascal_voc__classes_and_colors():
    module = PascalVOC()
    assert module.num_classes == 21
    assert module.classes[15] == "person"
    assert module.palette[15] == (192, 128, 128)


def test_pascal_voc__missing_data_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"JPEGImages.* not found; .*\nset data.download: true.*VOCtrainval"):
        PascalVOC(str(tmp_path)).check()
