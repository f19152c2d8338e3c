"""Splits of data modules: class counts, and the cache that holds them."""

import numpy as np

from lightseg.data import ShapesClassification
from lightseg.data.types import SPLITS
from lightseg.files.disk_cache import cache_dir
from tests.data.in_memory import MASKS, MaskModule


def test_class_table__by_hand():
    data = MaskModule()
    assert data.class_table().tolist() == [[2, 3, 0], [3, 0, 0]]
    assert data.class_table().dtype == np.int64
    assert data.class_counts().tolist() == [5, 3, 0]
    # the first mask has 5 valid pixels, the second 3
    assert data.class_extents().tolist() == [8, 5, 0]


def test_check__returns_class_counts():
    data = MaskModule()
    assert {split: counts.tolist() for split, counts in data.check().items()} == {split: [5, 3, 0] for split in SPLITS}
    assert [data.dataset(split).reads for split in SPLITS] == [2, 0, 0]  # one content, in the cache then


def test_palette__of_classes_that_may_overlap_has_no_black():
    data = MaskModule()
    assert data.palette == [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    data.multilabel = True
    assert data.palette == [(128, 0, 0), (0, 128, 0), (128, 128, 0)]


def test_class_table__of_labels_is_one_hot():
    data = ShapesClassification(train_size=20)
    labels = [data.dataset("train")[index][1] for index in range(20)]
    assert data.class_table().tolist() == np.eye(5, dtype=int)[labels].tolist()
    assert data.class_extents().tolist() == data.class_counts().tolist()


def test_class_table__is_read_once_from_the_data_then_from_the_cache():
    first, again = MaskModule(), MaskModule()
    for data in (first, again):
        for _ in range(2):
            assert data.class_table("train").tolist() == [[2, 3, 0], [3, 0, 0]]
    assert (first.dataset("train").reads, again.dataset("train").reads) == (2, 0)
    (path,) = cache_dir().glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1])
    assert again.class_counts("train").tolist() == [5, 3, 0]
    assert again.dataset("train").reads == 2


def test_class_table__changed_content_is_counted_again():
    MaskModule().class_table()
    assert MaskModule(MASKS[::-1]).class_table().tolist() == [[3, 0, 0], [2, 3, 0]]
