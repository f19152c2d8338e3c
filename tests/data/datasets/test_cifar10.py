"""Splits, class counts and options of CIFAR-10."""

import re

import numpy as np
import pytest

from lightseg.data.datasets.cifar10 import CIFAR10
from lightseg.data.datasets.long_tail import long_tail_counts
from lightseg.errors import ConfigError
from tests.data.datasets.cifar10_layouts import contents, fabricate, small, write_tree


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cifar10__split_is_disjoint_stratified_and_fixed(tmp_path):
    root = write_tree(tmp_path / "tree", fabricate())
    first, second = small(root), small(root)
    train, val, test = (contents(first, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (40, 10, 20)
    assert not train.keys() & val.keys()
    assert first.class_counts("train").tolist() == [4] * 10
    assert first.class_counts("val").tolist() == [1] * 10
    assert first.class_counts("test").tolist() == [2] * 10
    assert val == contents(second, "val")
    assert val.keys() != contents(small(root, split_seed=1), "val").keys()


def test_cifar10__split_of_uneven_classes_is_proportional(tmp_path):
    images = fabricate({"train": 4, "test": 1})
    uneven = {name: pixels for name, pixels in images.items() if not re.match("train/cat/cat_[123]", name)}
    module = small(write_tree(tmp_path / "tree", uneven), val_size=9)
    # 37 training samples for 9 places: 9 · 1/37 = .24 for the cat, 9 · 4/37 = .97 for each of the nine others
    assert module.class_counts("val").tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert module.class_counts("train").tolist() == [3, 3, 3, 1, 3, 3, 3, 3, 3, 3]


def test_cifar10__counts_are_those_of_the_samples(tmp_path):
    module = small(write_tree(tmp_path / "tree", fabricate()), imbalance_ratio=4.0)
    dataset = module.dataset("train")
    targets = [dataset[index][1] for index in range(len(dataset))]
    assert module.class_counts("train").tolist() == np.bincount(targets, minlength=10).tolist()
    assert module.class_table("train").tolist() == np.eye(10, dtype=int)[targets].tolist()


def test_cifar10__long_tail_of_the_real_size():
    # 4500 · 100^(-c/9), worked out by hand for the first, the last and one between: 4500 / 100^(1/3) = 969.49
    assert long_tail_counts(4500, 10, 100.0).tolist() == [4500, 2697, 1617, 969, 581, 348, 208, 125, 75, 45]
    # the published counts of CIFAR-10-LT, ratio 100 and 10, from all 5000 of a class
    assert long_tail_counts(5000, 10, 100.0).tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert long_tail_counts(5000, 10, 10.0).tolist() == [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]


def test_cifar10__long_tail_thins_train_alone(tmp_path):
    root = write_tree(tmp_path / "tree", fabricate({"train": 9, "test": 2}))
    full, tailed, more = (small(root, imbalance_ratio=ratio) for ratio in (1.0, 8.0, 64.0))
    # 8 of each class remain for training; 8 · 8^(-c/9) rounded down, 8 / 8^(1/3) = 4 exactly
    assert tailed.class_counts("train").tolist() == [8, 6, 5, 4, 3, 2, 2, 1, 1, 1]
    assert contents(tailed, "val") == contents(full, "val")
    assert contents(tailed, "test") == contents(full, "test")
    assert contents(more, "train").keys() < contents(tailed, "train").keys() < contents(full, "train").keys()


@pytest.mark.parametrize("val_size", [50, 51])
def test_cifar10__val_size_leaves_nothing(tmp_path, val_size):
    module = small(write_tree(tmp_path / "tree", fabricate()), val_size=val_size)
    with pytest.raises(ConfigError, match=f"data.val_size: {val_size} leaves none of the 50"):
        module.dataset("train")


@pytest.mark.parametrize("options", [{"val_size": 0}, {"imbalance_ratio": 0.5}])
def test_cifar10__value_out_of_range(options):
    with pytest.raises(ConfigError):
        CIFAR10(**options)


def test_cifar10__batches(tmp_path):
    module = small(write_tree(tmp_path / "tree", fabricate()), batch_size=8, num_workers=0)
    batch = next(iter(module.train_dataloader()))
    assert batch["image"].shape == (8, 3, 32, 32)
    assert batch["target"].shape == (8,)
    assert sum(len(part["target"]) for parts in module.val_dataloader() for part in parts) == 10
    assert len(module.classes) == 10
    assert module.kind == "classification"
