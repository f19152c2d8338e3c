"""A split as data of its own."""

import numpy as np
import pytest

from lightseg.data import Shapes
from lightseg.errors import DataError
from lightseg.evaluation.split_data import SplitData

DATA = {"image_size": 32, "train_size": 3, "val_size": 2, "num_workers": 0, "batch_size": 4}


@pytest.mark.parametrize(
    ("name", "splits"), [("val", ["val"] * 2), ("all", ["train"] * 3 + ["val"] * 2 + ["test"]), ("test", ["test"])]
)
def test_split_data__its_samples_are_those_of_the_splits(name, splits):
    data = Shapes(**DATA, test_size=1)
    split_data = SplitData(data, name)
    dataset = split_data.dataset("test")
    assert split_data.splits == splits
    assert len(dataset) == len(splits)
    position = 0
    for split in dict.fromkeys(splits):
        for sample in range(splits.count(split)):
            expected = data.dataset(split)[sample]
            assert all(np.array_equal(*pair) for pair in zip(dataset[position], expected, strict=True))
            position += 1
    assert split_data.fingerprints == {split: data.split_fingerprint(split) for split in dict.fromkeys(splits)}
    assert split_data.classes == data.classes


def test_split_data__empty_splits_are_left_out_or_refused():
    data = Shapes(**DATA, test_size=0)
    assert SplitData(data, "all").splits == ["train"] * 3 + ["val"] * 2
    with pytest.raises(DataError, match="the test split of Shapes is empty: there is nothing to score$"):
        SplitData(data, "test")


def test_label__names_the_folder_where_there_is_one(tmp_path):
    data = Shapes(**DATA)
    data.root = str(tmp_path / "nowhere")
    assert SplitData(data, "val").label == "Shapes"
    data.root = str(tmp_path)
    assert SplitData(data, "val").label == f"Shapes {tmp_path}"
