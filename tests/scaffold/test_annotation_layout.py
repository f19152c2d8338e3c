"""Recognition of annotations and of the files that belong together."""

import json

import pytest

from lightseg.errors import DataError
from lightseg.scaffold.annotation_layout import find_annotations, locate_file
from lightseg.scaffold.listing import list_folder
from tests.data.annotations import one_drawing


def _find(root, **answers):
    return find_annotations(list_folder(root), answers)


@pytest.mark.parametrize(
    ("make", "file", "content", "splits"),
    [
        (one_drawing.coco, "annotations/instances.json", "outlines of COCO", ""),
        (one_drawing.yolo, "data.yaml", "outlines of YOLO", "the annotations"),
        (one_drawing.labelme, ".", "outlines of LabelMe", ""),
    ],
)
def test_find_annotations__their_format_and_splits(tmp_path, make, file, content, splits):
    make(tmp_path)
    layout = _find(tmp_path)
    assert (layout.options["annotations"], layout.content, layout.splits) == (file, content, splits)
    assert layout.has_objects
    # LabelMe's files have an order of depth
    assert ("overlap" in layout.options) == (content != "outlines of LabelMe")
    assert layout.reasons.keys() == layout.options.keys() & {"overlap"}


def test_find_annotations__files_that_differ_by_a_split_alone_are_one(tmp_path):
    one_drawing.pictures(tmp_path)
    for split, indices in {"train": range(6), "val": (6, 7)}.items():
        content = one_drawing.coco_content(indices=indices)
        one_drawing.write_json(tmp_path / f"annotations/instances_{split}2017.json", content)
        # those of captions are of the same images
        one_drawing.write_json(tmp_path / f"annotations/captions_{split}2017.json", content)
    files = {split: f"annotations/instances_{split}2017.json" for split in ("train", "val")}
    layout = _find(tmp_path)
    assert (layout.options["annotations"], layout.splits) == (files, "2 files")
    assert locate_file(tmp_path / files["val"]) == (tmp_path, {"annotations": files})


def test_find_annotations__two_that_may_be_meant(tmp_path):
    one_drawing.coco(tmp_path)
    one_drawing.cvat(tmp_path)
    with pytest.raises(DataError, match=r"each annotate images; name one: --data\.annotations "):
        _find(tmp_path)
    assert _find(tmp_path, annotations="annotations/instances.json").content == "outlines of COCO"


def test_find_annotations__other_documents_are_none(tmp_path):
    one_drawing.pictures(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "settings.json").write_text(json.dumps({"images": []}))
    (tmp_path / "recipe.yaml").write_text("model: {}")
    assert _find(tmp_path) is None


def test_locate_file__without_an_image_near_it(tmp_path):
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "far/away/x.json").touch()
    with pytest.raises(DataError, match=r"x\.json: no image is beside it; give the folder of the data"):
        locate_file(tmp_path / "far/away/x.json")
