"""Dataset of images with a class id each."""

import numpy as np
import pytest

from lightseg.data.datasets.label_dataset import LabelDataset, LabeledImage
from lightseg.errors import DataError
from tests.data.fabricate import picture, save


@pytest.fixture
def dataset(tmp_path):
    samples = [LabeledImage(f"{number}.png", label) for number, label in enumerate((2, 0, 1))]
    for number, sample in enumerate(samples):
        save(tmp_path / sample.image, picture(number))
    return LabelDataset(tmp_path, samples)


def test_label_dataset__image_class_and_table(dataset):
    image, label = dataset[2]
    assert np.array_equal(image, picture(2))
    assert (label, type(label)) == (1, int)
    assert dataset.label_ids.tolist() == [2, 0, 1]
    assert dataset.class_table(3).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_label_dataset__a_subset_keeps_images_and_classes_together(dataset):
    subset = dataset.subset(np.array([2, 0]))
    assert [(subset.name(index), subset[index][1]) for index in range(2)] == [("2.png", 1), ("0.png", 2)]


def test_label_dataset__another_class_is_another_dataset(dataset, tmp_path):
    samples = [LabeledImage(f"{number}.png", label) for number, label in enumerate((2, 0, 0))]
    changed = LabelDataset(tmp_path, samples)
    assert changed.fingerprint() != dataset.fingerprint()
    assert changed.cache_key() != dataset.cache_key()


def test_label_dataset__broken_images_are_named_and_counted(dataset, tmp_path):
    for name in ("0.png", "2.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"(?s)0\.png: .*\(and 1 more broken file in this split\)"):
        dataset.class_table(3)


def test_labeled_image__its_name_is_in_one_normal_form():
    assert LabeledImage("cafe\u0301.png", 0).name == LabeledImage("caf\u00e9.png", 0).name == "caf\u00e9.png"
