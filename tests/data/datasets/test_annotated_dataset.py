"""Dataset of annotated images: one target whatever the way, and a key for each rule of the drawing."""

import numpy as np

from tests.data.datasets.annotated_case import targets


def test_dataset__groups_folds_subsets_and_cache_give_the_same_targets(annotated, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
    expected = targets(annotated())
    fold = annotated(folds=3, fold=1, num_workers=0)
    for split in ("train", "val"):
        part = fold.dataset(split)
        for index in range(len(part)):
            assert part[index][1].tobytes() == expected[part.name(index).rpartition("/")[2]].tobytes()
    cached = annotated(num_workers=0)
    cached.decode()
    assert type(cached.dataset("train")).__name__ == "DecodedDataset"
    assert {name: mask.tobytes() for name, mask in targets(cached).items()} == {
        name: mask.tobytes() for name, mask in expected.items()
    }
    part = annotated().dataset("train")
    subset = part.subset(np.array([2, 0]))
    assert [subset[index][1].tobytes() for index in (0, 1)] == [part[index][1].tobytes() for index in (2, 0)]


def test_dataset__every_option_of_the_drawing_changes_the_key_of_the_cache(annotated):
    options = [{}, {"overlap": "area"}, {"ignore": ["car"]}, {"crowd": "ignore"}, {"background": None}]
    keys = {annotated(**changes).dataset("train").cache_key() for changes in options}
    assert len(keys) == len(options)
