import hashlib

import numpy as np
import pytest

from lightseg.data import CIFAR10, CamVid, MaskFolder, Shapes, ShapesClassification
from lightseg.data.dataset import ImageDataset
from lightseg.data.folds import Fold, parse_fold, split_by_fold, stratified_folds
from lightseg.errors import ConfigError, DataError
from tests.data import fabricate


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))


def names(dataset):
    return [dataset.name(index) for index in range(len(dataset))]


# ---- dealing ---------------------------------------------------------------------------------------------------------


def test_stratified_folds__by_hand():
    # class 1 in four samples, class 2 in two of these and one more; the rarest, class 2, is dealt first
    table = np.array([[5, 0, 0], [5, 0, 0], [5, 1, 0], [5, 1, 0], [5, 1, 9], [5, 1, 9], [5, 0, 9], [5, 0, 0]])
    groups = list("abcdefgh")
    fold_of = stratified_folds(table, groups, 2, seed=0)
    order = sorted(groups, key=lambda group: hashlib.sha256(f"0/{group}".encode()).digest())
    # in the order of chance: to fold 0, to fold 1, which now lacks more, and to fold 0, since both lack as much
    rarest = [group for group in order if group in "efg"]
    assert [fold_of[groups.index(group)] for group in rarest] == [0, 1, 0]
    present = table > 0
    assert [present[fold_of == fold].sum(0).tolist() for fold in (0, 1)] in (
        [[4, 2, 2], [4, 2, 1]],
        [[4, 2, 1], [4, 2, 2]],
    )


def test_stratified_folds__a_class_goes_where_it_is_lacking_not_where_samples_are():
    # class 1: three samples in p, one of ten in each of q, r and s; so p is one half of it, and q, r, s are the other
    table = np.array([[0, 1]] * 3 + ([[0, 1]] + [[1, 0]] * 9) * 3 + [[1, 0]] * 27)
    groups = ["p"] * 3 + ["q"] * 10 + ["r"] * 10 + ["s"] * 10 + [f"t{index}" for index in range(27)]
    fold_of = stratified_folds(table, groups, 2, seed=0)
    assert fold_of.tolist() == [0] * 3 + [1] * 30 + [0] * 27


def test_stratified_folds__every_class_in_equal_parts():
    labels = np.repeat(np.arange(4), [50, 20, 10, 5])
    fold_of = stratified_folds(np.eye(4, dtype=np.int64)[labels], [str(i) for i in range(85)], 5, seed=0)
    assert [np.bincount(labels[fold_of == fold]).tolist() for fold in range(5)] == [[10, 4, 2, 1]] * 5


def test_stratified_folds__many_classes_in_a_sample():
    rng = np.random.default_rng(0)
    shares = np.array([1.0, 0.6, 0.3, 0.1, 0.03])
    table = (rng.random((600, 5)) < shares) * rng.integers(1, 100, (600, 5))
    fold_of = stratified_folds(table, [str(i) for i in range(600)], 5, seed=0)
    samples_with_class = np.array([(table[fold_of == fold] > 0).sum(0) for fold in range(5)])
    # no fold is further from its part than a sample of a class, or two samples in all
    assert np.abs(samples_with_class - (table > 0).sum(0) / 5).max(0).tolist() <= [2, 1, 1, 1, 1]
    assert np.ptp(np.bincount(fold_of)) <= 2


def test_stratified_folds__groups_stay_together():
    rng = np.random.default_rng(0)
    groups = [f"patient-{patient}" for patient in rng.integers(0, 40, 300)]
    table = np.eye(3, dtype=np.int64)[rng.choice(3, 300, p=[0.6, 0.3, 0.1])]
    fold_of = stratified_folds(table, groups, 5, seed=0)
    assert all(len({fold for fold, its in zip(fold_of, groups, strict=True) if its == group}) == 1 for group in groups)
    parts = np.array([table[fold_of == fold].sum(0) for fold in range(5)]) / table.sum(0)
    assert np.abs(parts - 0.2).max() < 0.05


def test_stratified_folds__as_many_groups_parse_folds():
    # void samples, and a group that is larger than all the others
    table = np.array([[1, 0]] * 9 + [[0, 0], [0, 1], [0, 0]])
    fold_of = stratified_folds(table, ["a"] * 9 + ["b", "c", "d"], 4, seed=0)
    assert sorted(np.bincount(fold_of)) == [1, 1, 1, 9]
    with pytest.raises(ConfigError, match="4 groups, which stay together, cannot fill 5 folds; give 4 or less"):
        stratified_folds(table, ["a"] * 9 + ["b", "c", "d"], 5, seed=0)
    with pytest.raises(ConfigError, match="12 samples cannot fill 13 folds"):
        stratified_folds(table, list("abcdefghijkl"), 13, seed=0)


def test_stratified_folds__of_names_and_seed_alone():
    labels = np.arange(60) % 3
    table, groups = np.eye(3, dtype=np.int64)[labels], [f"{i}.png" for i in range(60)]
    fold_of = stratified_folds(table, groups, 4, seed=0)
    order = np.random.default_rng(0).permutation(60)
    assert (stratified_folds(table[order], [groups[i] for i in order], 4, seed=0) == fold_of[order]).all()
    assert (stratified_folds(table, groups, 4, seed=1) != fold_of).any()


# ---- as options of a data module -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (1, 0, "data.folds: must be 2 or more, got 1"),
        (5, None, "one needs the other"),
        (None, 0, "one needs the other"),
        (5, 5, "data.fold: must be 0 to 4 with 5 folds, got 5"),
        (5, -1, "data.fold: must be 0 to 4 with 5 folds, got -1"),
    ],
)
def test_parse_fold__that_does_not_fit(folds, fold, message):
    with pytest.raises(ConfigError, match=message):
        Shapes(folds=folds, fold=fold)


def test_parse_fold__none_without_options():
    assert parse_fold(None, None) is None
    assert parse_fold(5, 4) == Fold(4, 5)


def _mask_folder(root, **options):
    fabricate.folder(root, 20, values=(0, 1, 255))
    return lambda **fold: MaskFolder(["ground", "road"], root=str(root), **options, **fold)


def _camvid(root):
    for split in ("train", "val", "test"):
        for index in range(6):
            name = f"{('0001TP', '0006R0', '0016E5')[index // 2]}_{split}{index}.png"
            fabricate.save(root / split / name, fabricate.picture(index))
            fabricate.save(root / f"{split}annot" / name, fabricate.ids(index, values=range(12)))
    return lambda **fold: CamVid(str(root), **fold)


def _cifar10(root):
    for split, size in (("train", 4), ("test", 1)):
        for label, name in enumerate(CIFAR10().classes):
            for index in range(size):
                fabricate.save(root / split / name / f"{index}.png", fabricate.picture(9 * label + index, 32, 32))
    return lambda **fold: CIFAR10(str(root), val_size=10, **fold)


MAKE = {
    "mask_folder": _mask_folder,
    "camvid": _camvid,
    "cifar10": _cifar10,
    "shapes": lambda _: lambda **fold: Shapes(32, 14, 6, 4, **fold),
    "shapes_classification": lambda _: lambda **fold: ShapesClassification(32, 14, 6, 4, **fold),
}


@pytest.mark.parametrize("kind", MAKE)
def test_folds__every_sample_is_validated_on_once(kind, tmp_path):
    make = MAKE[kind](tmp_path / "data")
    plain, parts = make(), [make(folds=3, fold=fold) for fold in range(3)]
    pool = sorted(names(plain.dataset("train")) + names(plain.dataset("val")))
    assert sorted(name for part in parts for name in names(part.dataset("val"))) == pool
    for part in parts:
        part.check()
        assert sorted(names(part.dataset("train")) + names(part.dataset("val"))) == pool
        assert part.fingerprint()["test"] == plain.fingerprint()["test"]
        counts = part.class_counts("train") + part.class_counts("val")
        assert counts.tolist() == (plain.class_counts("train") + plain.class_counts("val")).tolist()
    for what in ("fingerprint", "cache_key"):
        assert len({getattr(part.dataset(split), what)() for part in parts for split in ("train", "val")}) == 6


def test_folds__do_not_change_samples(tmp_path):
    make = _mask_folder(tmp_path / "data")
    plain, part = make(), make(folds=3, fold=1)
    originals = {
        plain.dataset(split).name(index): plain.dataset(split)[index]
        for split in ("train", "val")
        for index in range(len(plain.dataset(split)))
    }
    for split in ("train", "val"):
        dataset = part.dataset(split)
        for index, row in enumerate(part.class_table(split)):
            image, mask = dataset[index]
            assert (image == originals[dataset.name(index)][0]).all()
            assert (mask == originals[dataset.name(index)][1]).all()
            assert np.bincount(mask.ravel(), minlength=256)[:2].tolist() == row.tolist()


def test_folds__a_changed_mask_changes_only_its_split(tmp_path):
    make = _mask_folder(tmp_path / "data")
    before = make(folds=3, fold=1)
    shas = before.fingerprint()
    changed = tmp_path / "data/masks" / before.dataset("val").name(0).rpartition("/")[2]
    fabricate.save(changed, 1 - fabricate.ids(99))
    after = make(folds=3, fold=1).fingerprint()
    assert [split for split in shas if shas[split] != after[split]] == ["val", "pool"]
    last_fold = make(folds=3, fold=2).fingerprint()
    assert last_fold["pool"] == after["pool"] == {"samples": 17, "sha256": after["pool"]["sha256"]}


def test_folds__mask_folder_keeps_its_groups_together(tmp_path):
    for index in range(24):
        fabricate.save(tmp_path / "images" / f"p{index % 8}_{index}.png", fabricate.picture(index))
        fabricate.save(tmp_path / "masks" / f"p{index % 8}_{index}.png", fabricate.ids(index))
    options = {"root": str(tmp_path), "group": r"(p\d)_"}
    patients = []
    for fold in range(3):
        part = MaskFolder(["ground", "road"], folds=3, fold=fold, **options)
        train, val = ({name.partition("_")[0] for name in names(part.dataset(split))} for split in ("train", "val"))
        assert not train & val
        patients += val
    assert len(set(patients)) == len(patients)
    with pytest.raises(ConfigError, match="groups, which stay together, cannot fill 9 folds"):
        MaskFolder(["ground", "road"], folds=9, fold=0, **options).dataset("val")


def test_folds__camvid_keeps_its_drives_together(tmp_path):
    make = _camvid(tmp_path)
    val = [names(make(folds=3, fold=fold).dataset("val")) for fold in range(3)]
    drives = [{name.rpartition("/")[2].partition("_")[0] for name in fold_names} for fold_names in val]
    assert sorted(map(sorted, drives)) == [["0001TP"], ["0006R0"], ["0016E5"]]
    with pytest.raises(ConfigError, match="3 groups"):
        make(folds=5, fold=0).dataset("val")


def test_folds__mean_and_deviation_are_those_of_the_fold(tmp_path):
    for index in range(12):
        image = np.full((8, 8, 4), 20 * index, np.uint8)
        fabricate.save(tmp_path / "images" / f"{index}.png", image)
        fabricate.save(tmp_path / "masks" / f"{index}.png", fabricate.ids(index, 8, 8))
    part = MaskFolder(["a", "b"], channels=4, root=str(tmp_path), test_fraction=0.0, folds=3, fold=0)
    train = part.dataset("train")
    values = [train[index][0].mean() / 255 for index in range(len(train))]
    assert part.pixel_stats()[0] == pytest.approx([np.mean(values)] * 4)


class Numbered(ImageDataset):
    def __init__(self, first, count):
        self.first, self.count = first, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.zeros((1, 1, 3), np.uint8), (self.first + index) % 2

    def name(self, index):
        return str(self.first + index)

    def fingerprint(self):
        return f"{self.first}-{self.count}"


def test_split_by_fold__custom_dataset():
    train, val = split_by_fold([Numbered(0, 6), Numbered(6, 2)], 2, lambda names: names, Fold(0, 4), seed=0)
    assert (len(train), len(val)) == (6, 2)
    assert sorted(names(train) + names(val)) == list("01234567")
    assert sorted(val[index][1] for index in range(2)) == [0, 1]
    assert [train[index][1] for index in range(6)] == [int(name) % 2 for name in names(train)]


def test_split_by_fold__needs_unique_names():
    with pytest.raises(DataError, match="two samples of train and val are both called 3"):
        split_by_fold([Numbered(0, 4), Numbered(3, 1)], 2, lambda names: names, Fold(0, 2), seed=0)


@pytest.mark.parametrize(("groups_result", "count"), [(["a", "b"], 2), (None, 0)])
def test_split_by_fold__needs_one_group_per_sample(groups_result, count):
    class Patients(Shapes):
        def groups(self, names):
            return groups_result

    data = Patients(32, 14, 6, 4, folds=2, fold=0)
    with pytest.raises(
        ConfigError, match=f"Patients.groups: must return one group per sample, got {count} groups of 20 samples"
    ):
        data.dataset("val")


@pytest.mark.parametrize(
    ("data", "option"),
    [
        (Shapes, {"label_noise": 0.1}),
        (ShapesClassification, {"label_noise": 0.1}),
        (ShapesClassification, {"imbalance": 10}),
        (CIFAR10, {"imbalance_ratio": 100}),
    ],
)
def test_require_alike__refuses_options_for_train_alone(data, option):
    (name,) = option
    data(**option)
    data(folds=2, fold=0)
    with pytest.raises(ConfigError, match=f"data.{name}: changes train alone, but folds pool train and val; leave out"):
        data(**option, folds=2, fold=0)
