"""Class names of data with a class for each image."""

import pytest

from lightseg.data.datasets.label_data_module import LabelDataModule
from lightseg.data.datasets.label_dataset import LabeledImage
from lightseg.errors import ConfigError, DataError


class Fixed(LabelDataModule):
    """Samples of given class names, split by fractions."""

    def __init__(self, names, **kwargs):
        super().__init__(num_workers=0, **kwargs)
        self.names = names

    def _find_classes(self):
        return self.names

    def _find_splits(self):
        samples = [LabeledImage(f"{i}.png", self.classes.index(name)) for i, name in enumerate(self.names)]
        return self._split_without_folders(samples)


class Overlapping(Fixed):
    """Classes that may overlap."""

    multilabel = True


@pytest.mark.parametrize(
    ("names", "classes"),
    [(["b", "a", "b"], ["a", "b"]), (["10", "9", "2"], ["2", "9", "10"]), (["10", "9", "x"], ["10", "9", "x"])],
)
def test_classes__sorted_by_name_or_by_value(names, classes):
    assert Fixed(names).classes == classes


def test_classes__those_of_the_recipe_keep_their_order():
    assert Fixed(["a", "b"], classes=["b", "a", "c"]).classes == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat"], r"1 class \(cat\); at least two are needed"),
        ([], "0 classes; at least two are needed"),
        (["cat", "Cat", "dog"], "the classes Cat and cat differ by case alone; rename one"),
        ([str(number) for number in range(256)], "256 classes are too many; at most 255 have an id"),
    ],
)
def test_classes__that_cannot_be_told_apart_are_refused(names, message):
    with pytest.raises(DataError, match=message):
        _ = Fixed(names).classes


@pytest.mark.parametrize(
    ("classes", "message"),
    [(["a", "b", "a"], "^data.classes: a is listed twice"), (["a"], r"^data.classes: 1 class \(a\)")],
)
def test_classes__of_the_recipe_are_checked_before_the_data(classes, message):
    with pytest.raises(ConfigError, match=message):
        Fixed(["a", "b"], classes=classes)


def test_classes__that_may_overlap_are_one_or_more():
    assert Overlapping(["cat"]).classes == ["cat"]
    with pytest.raises(DataError, match=r"0 classes; at least one is needed$"):
        _ = Overlapping([]).classes


def test_splits__hold_the_fractions_in_each_class():
    splits = Fixed(["a"] * 40 + ["b"] * 20, val_fraction=0.25, test_fraction=0.1).find_datasets()
    counts = {split: [int((dataset.label_ids == label).sum()) for label in (0, 1)] for split, dataset in splits.items()}
    assert counts == {"train": [26, 13], "val": [10, 5], "test": [4, 2]}
