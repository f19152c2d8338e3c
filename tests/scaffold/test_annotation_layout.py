"""Annotations in a listing: which files belong together, and what they annotate."""

from pathlib import Path

import pytest

from lightseg.errors import DataError
from lightseg.scaffold.annotation_layout import find_annotations, locate_file
from lightseg.scaffold.listing import list_folder
from tests.data.annotations import one_drawing


def find(root, **answers):
    return find_annotations(list_folder(root), answers)


def test_find__without_annotations(tmp_path):
    one_drawing.pictures(tmp_path)
    for name, text in {"a.json": "[", "b.json": "{}", "c.yaml": "names: [a]", "d.xml": "<svg/>"}.items():
        (tmp_path / name).write_text(text)
    assert find(tmp_path) is None


def test_find__states_the_rule_of_overlaps_where_the_format_has_no_depth(tmp_path):
    one_drawing.coco(tmp_path / "coco")
    one_drawing.cvat(tmp_path / "cvat")
    layout = find(tmp_path / "coco")
    assert layout.options == {
        "root": str(tmp_path / "coco"),
        "annotations": "annotations/instances.json",
        "overlap": "area",
    }
    assert layout.reasons["overlap"].startswith("the format has no order of depth")
    assert (layout.content, layout.splits, layout.has_objects) == ("outlines of COCO", "", True)
    assert "overlap" not in find(tmp_path / "cvat").options


def write_coco(root, *paths):
    one_drawing.pictures(root)
    for number, path in enumerate(paths):
        one_drawing.write_json(root / path, one_drawing.coco_content(indices=[number]))


@pytest.mark.parametrize(
    ("paths", "annotations"),
    [
        (["train/_a.coco.json", "valid/_a.coco.json"], {"train": "train/_a.coco.json", "val": "valid/_a.coco.json"}),
        (["a_train.json", "a_val.json", "a_test.json"], {s: f"a_{s}.json" for s in ("train", "val", "test")}),
        (["a_val.json"], "a_val.json"),
        (["instances_train.json", "other_train.json"], "instances_train.json"),
        # no words for splits
        (["trainer.json"], "trainer.json"),
    ],
)
def test_find__files_by_split(tmp_path, paths, annotations):
    write_coco(tmp_path, *paths)
    assert find(tmp_path).options["annotations"] == annotations


def test_find__several_files_are_asked_for(tmp_path):
    write_coco(tmp_path, "a.json", "b.json")
    with pytest.raises(DataError, match=r"a.json and b.json each annotate images; name one: --data.annotations a.json"):
        find(tmp_path)
    assert find(tmp_path, annotations="b.json").options["annotations"] == "b.json"


def test_locate__the_folder_of_a_file_and_the_files_of_other_splits(tmp_path, monkeypatch):
    write_coco(tmp_path / "data", "annotations/a_train.json", "annotations/a_val.json", "b.json")
    files = {"train": "annotations/a_train.json", "val": "annotations/a_val.json"}
    absolute = tmp_path / "data" / "annotations" / "a_val.json"
    assert locate_file(absolute) == (tmp_path / "data", {"annotations": files})
    monkeypatch.chdir(tmp_path)
    assert locate_file(Path("data/annotations/a_train.json")) == (Path("data"), {"annotations": files})
    assert locate_file(Path("data/b.json")) == (Path("data"), {"annotations": "b.json"})
    monkeypatch.chdir(tmp_path / "data" / "annotations")
    assert locate_file(Path("a_train.json"))[0] == tmp_path / "data"


def test_locate__a_file_in_the_folder_of_a_split(tmp_path):
    for split in ("train", "valid"):
        one_drawing.pictures(tmp_path / split)
        one_drawing.write_json(tmp_path / split / "_a.json", one_drawing.coco_content())
    files = {"train": "train/_a.json", "val": "valid/_a.json"}
    assert locate_file(tmp_path / "train" / "_a.json") == (tmp_path, {"annotations": files})
