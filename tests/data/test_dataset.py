"""Base class of the datasets, and the checks of what it returns."""

import numpy as np
import pytest

from lightseg.data import dataset as dataset_module
from lightseg.data.dataset import cached_label_table, require_dataset, require_valid
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE
from tests.data.in_memory import InMemoryDataset, MaskOnlyDataset

PIXEL = np.zeros((1, 2, 3), np.uint8)


def test_class_table__void_and_classes_beyond_are_left_out():
    dataset = MaskOnlyDataset([np.array([[0, 2, 2, IGNORE]], np.uint8), np.full((1, 4), IGNORE, np.uint8)])
    assert dataset.class_table(3).tolist() == [[1, 0, 2], [0, 0, 0]]
    assert dataset.label_table(3).tolist() == [[1, 0, 2, 0], [0, 0, 0, 0]]


def test_class_table__of_class_ids_is_one_hot():
    assert InMemoryDataset((PIXEL, 1), (PIXEL, 0)).class_table(2).tolist() == [[0, 1], [1, 0]]


def test_cached_label_table__is_read_once_and_read_only():
    dataset = MaskOnlyDataset([np.array([[0, 1]], np.uint8)])
    first = cached_label_table(dataset, 2)
    assert cached_label_table(dataset, 2).tolist() == first.tolist() == [[1, 1, 0]]
    assert dataset.reads == 1
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 7


def test_cached_label_table__is_read_again_by_other_code(monkeypatch):
    dataset = MaskOnlyDataset([np.array([[0, 1]], np.uint8)])
    cached_label_table(dataset, 2)
    monkeypatch.setattr(dataset_module, "source_digest", lambda *_parts: "of another version")
    cached_label_table(dataset, 2)
    assert dataset.reads == 2


def test_subset__its_samples_in_their_order_and_a_fingerprint_of_its_own():
    dataset = InMemoryDataset(*((PIXEL, label) for label in range(4)))
    subset, reversed_subset, same = (dataset.subset(np.array(indices)) for indices in ([3, 1], [1, 3], [3, 1]))
    assert [subset[index][1] for index in range(len(subset))] == [3, 1]
    assert [subset.name(index) for index in range(2)] == ["3", "1"]
    assert subset.fingerprint() == same.fingerprint()
    assert len({each.fingerprint() for each in (dataset, subset, reversed_subset)}) == 3
    assert subset.class_table(4).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]


def test_require_dataset__names_the_function_and_what_it_gave():
    dataset = InMemoryDataset()
    assert require_dataset(dataset, "make_dataset") is dataset
    with pytest.raises(ConfigError, match=r"^make_dataset: must return a lightseg\.data\.ImageDataset, got list; "):
        require_dataset([], "make_dataset")


def test_require_valid__a_split_of_void_is_refused():
    require_valid(np.array([0, 1]), "folder", "val")
    with pytest.raises(DataError, match="^folder: val has no valid pixel"):
        require_valid(np.zeros((2, 3), np.int64), "folder", "val")
