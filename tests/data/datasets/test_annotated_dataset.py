"""Samples whose masks are drawn: subsets, folds, caches and their keys."""

import numpy as np
import pytest

from lightseg.data import AnnotatedImages
from lightseg.labels import IGNORE
from tests.data.annotations import one_drawing
from tests.data.annotations.one_drawing import targets


@pytest.fixture
def annotated(tmp_path):
    """Return a data module of the drawing in COCO's format with some options."""
    options = one_drawing.coco(tmp_path)
    return lambda **changes: AnnotatedImages(root=str(tmp_path), **options, **changes)


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


def test_table__counts_the_pixels_of_each_mask(annotated):
    part = annotated(ignore=["car"]).dataset("train")
    table = part.class_table(3)
    assert table.tolist() == [np.bincount(part[i][1].ravel(), minlength=3)[:3].tolist() for i in range(len(part))]
    assert part.mask(1).tobytes() == part[1][1].tobytes()


def test_object_labels__are_those_of_all_annotations_but_the_damaged_ones(tmp_path):
    one_drawing.labelme(tmp_path)
    options = {"root": str(tmp_path), "val_fraction": 0.1, "test_fraction": 0, "ignore": ["sign"]}
    part = AnnotatedImages(["background", "road", "car", "boat"], **options).dataset("train")
    assert part.object_labels() == {1, 2, IGNORE}
    for path in (tmp_path / "labels").iterdir():
        path.write_text("{}")
    assert part.object_labels() == set()
