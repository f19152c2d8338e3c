"""What the data modules of a user's own files share: values of images, splits, and options without effect."""

import gc

import numpy as np
import pytest

from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.datasets.label_dataset import LabelDataset, LabeledImage
from lightseg.errors import ConfigError, DataError
from tests.data.fabricate import save

COUNT = 12


class Numbered(FileDataModule):
    """Images of a folder in given or random splits."""

    kind = "classification"
    classes = ["a", "b"]  # noqa: RUF012

    def __init__(self, root, given=(), **kwargs):
        super().__init__(root=str(root), num_workers=0, batch_size=2, **kwargs)
        self.given, self.collects_garbage = given, []

    def find_datasets(self):
        self.collects_garbage.append(gc.isenabled())
        samples = [LabeledImage(f"{number:02}.png", number % 2) for number in range(COUNT)]
        if self.given:
            splits = self._complete({split: [samples[index] for index in self.given[split]] for split in self.given})
        else:
            splits = self._split_at_random(samples)
        return {split: LabelDataset(self.root, part, self.in_channels) for split, part in splits.items()}


@pytest.fixture
def root(tmp_path):
    for number in range(COUNT):
        save(tmp_path / f"{number:02}.png", np.full((4, 4, 3), 20 * number, np.uint8))
    return tmp_path


def _names(data):
    parts = {split: data.dataset(split) for split in ("train", "val", "test")}
    return {split: [part.name(index) for index in range(len(part))] for split, part in parts.items()}


def test_splits__are_found_once_without_garbage_collection(root):
    data = Numbered(root)
    _names(data)
    assert data.collects_garbage == [False]
    assert gc.isenabled()


def test_splits__by_fractions_and_seed(root):
    names = _names(Numbered(root, val_fraction=0.25, test_fraction=0.5))
    assert {split: len(part) for split, part in names.items()} == {"train": 3, "val": 3, "test": 6}
    assert sorted(name for part in names.values() for name in part) == [f"{number:02}.png" for number in range(COUNT)]
    assert _names(Numbered(root, val_fraction=0.25, test_fraction=0.5, split_seed=1)) != names


def test_splits__groups_stay_together(root):
    # 00 to 09 are one group, 10 and 11 another
    names = _names(Numbered(root, group=r"^(\d)", val_fraction=0.2, test_fraction=0.0))
    assert sorted(len(names[split]) for split in ("train", "val")) == [2, 10]
    assert all(len({name[0] for name in names[split]}) == 1 for split in ("train", "val"))
    assert names["test"] == []


def test_splits__an_empty_val_is_taken_off_train(root):
    given = {"train": range(10), "val": (), "test": (10, 11)}
    names = _names(Numbered(root, given, val_fraction=0.3))
    assert [len(names[split]) for split in ("train", "val")] == [7, 3]
    assert names["test"] == ["10.png", "11.png"]


def test_splits__a_group_in_two_of_them_is_a_leak(root):
    given = {"train": range(5), "val": range(5, 10), "test": (10, 11)}
    with pytest.raises(DataError, match="00.png and 05.png of group '0': in train and in val"):
        _names(Numbered(root, given, group=r"^(\d)"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 0.2}, "data.val_fraction: 0.2 changes nothing, since folders or a column define the splits"),
        ({"split_seed": 3}, "data.split_seed: 3 changes nothing, since .* set it back to 0"),
    ],
)
def test_check_training__an_option_without_effect_is_refused(root, options, message):
    given = {"train": range(6), "val": range(6, 10), "test": (10, 11)}
    Numbered(root, given).check_training()
    with pytest.raises(ConfigError, match=message):
        Numbered(root, given, **options).check_training()
    Numbered(root, **options).check_training()


def test_channels__one_at_least():
    with pytest.raises(ConfigError, match=r"^data.channels: 0 is not a number of channels; give 1 or more$"):
        Numbered("folder", channels=0)


def test_pixel_stats__of_gray_images_are_measured(root):
    for number in range(COUNT):
        save(root / f"{number:02}.png", np.full((4, 4), 51 * (number % 2), np.uint8))
    data = Numbered(root, {"train": (0, 1), "val": (2, 3), "test": ()}, channels=1)
    assert np.allclose(data.pixel_stats(), [[0.1], [0.1]])
