import numpy as np
import pytest

from lightseg.data.datasets.mask_dataset import SizeError
from lightseg.data.datasets.multilabel_mask_dataset import MultilabelMaskDataset
from lightseg.data.io.pairing import Pair
from lightseg.data.io.presence_map import PresenceMap
from lightseg.errors import DataError
from lightseg.labels import IGNORE
from tests.data.fabricate import picture, save

UPPER = np.zeros((6, 8), np.uint8)
UPPER[:3] = 1


@pytest.fixture
def root(tmp_path):
    """Two images; the second has no mask of the first class."""
    for index in range(2):
        save(tmp_path / f"{index}.png", picture(index, 6, 8))
    save(tmp_path / "up.png", UPPER)
    save(tmp_path / "down.png", (1 - UPPER) * 255)
    save(tmp_path / "all.png", np.ones((6, 8), np.uint8))
    return tmp_path


def dataset(root, *more, absent_value=0):
    pairs = [Pair("0", "0.png", "up.png", ("down.png", "all.png")), Pair("1", "1.png", "", ("down.png", "up.png"))]
    return MultilabelMaskDataset(root, [*pairs, *more], PresenceMap([1, 255]), 3, absent_value=absent_value)


@pytest.mark.parametrize("absent_value", [0, IGNORE])
def test_dataset__reads_a_channel_for_each_class(root, absent_value):
    data = dataset(root, absent_value=absent_value)
    image, mask = data[1]
    assert image.shape == (6, 8, 3)
    assert np.array_equal(mask, np.stack([np.full((6, 8), absent_value), 1 - UPPER, UPPER], -1))
    assert np.array_equal(data.mask(1), mask)
    assert data.mask_names(1) == ["down.png", "up.png"]
    assert [data.mask_name(index) for index in range(2)] == ["up.png", "down.png"]


def test_dataset__counts_pixels_with_and_without_each_class(root):
    with_and_without = [[24, 24, 48, 24, 24, 0], [0, 24, 24, 48, 24, 24]]
    assert dataset(root).class_table(3).tolist() == with_and_without
    with_and_without[1][3] = 0
    assert dataset(root, absent_value=IGNORE).class_table(3).tolist() == with_and_without


def test_dataset__a_class_that_is_absent_or_void_is_another_target(root):
    absent, void = dataset(root), dataset(root, absent_value=IGNORE)
    assert absent.label_table(3)[0].tolist() == void.label_table(3)[0].tolist()
    assert absent.label_table(3)[1, -1] != void.label_table(3)[1, -1]
    assert absent.cache_key() != void.cache_key()
    assert absent.fingerprint() == void.fingerprint()


def test_dataset__a_subset_keeps_the_masks_of_its_samples(root):
    data = dataset(root)
    assert np.array_equal(data.subset(np.array([1])).mask(0), data.mask(1))


def test_dataset__names_the_mask_of_another_size(root):
    save(root / "small.png", UPPER[:, :4])
    data = dataset(root, Pair("2", "0.png", "up.png", ("small.png", "up.png")))
    with pytest.raises(SizeError, match=r"small\.png: is 4×6, but its image 0\.png is 8×6"):
        data.mask(2)
    with pytest.raises(DataError, match=r"small\.png: is 4×6"):
        data.label_table(3)
