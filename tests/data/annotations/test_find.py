"""Recognition of annotations in a file or folder."""

import pytest

from lightseg.data.annotations.find import read_annotations
from lightseg.data.annotations.images import ImageIndex
from lightseg.errors import DataError
from tests.data.annotations import one_drawing


@pytest.mark.parametrize(
    ("make", "path", "name"),
    [
        (one_drawing.coco, "annotations/instances.json", "coco"),
        (one_drawing.yolo, ".", "yolo"),
        (one_drawing.yolo, "data.yaml", "yolo"),
        (one_drawing.labelme, ".", "labelme"),
        (one_drawing.labelme, "labels", "labelme"),
        (one_drawing.cvat, "annotations.xml", "cvat"),
    ],
)
def test_read__recognizes_the_format(tmp_path, make, path, name):
    make(tmp_path)
    for given in ("auto", name):
        annotations = read_annotations(tmp_path / path, given, ImageIndex(tmp_path))
        assert annotations.format.name == name
        assert len(annotations.images) == one_drawing.COUNT


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        (
            "missing",
            "auto",
            "missing: the folder does not exist; set data.annotations to a file or folder",
        ),
        (".", "auto", "holds no YAML file of YOLO and no JSON file of LabelMe; it holds images/, notes.txt; set"),
        (".", "cvat", "holds no file of cvat; it holds"),
        ("notes.txt", "auto", "notes.txt: is no JSON, YAML or XML file; set data.annotations to a file of COCO"),
        ("notes.txt", "labelme", "notes.txt: is a file; set data.annotations to the folder of LabelMe's files"),
    ],
)
def test_read__says_what_is_not_there(tmp_path, path, name, message):
    one_drawing.pictures(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=message):
        read_annotations(tmp_path / path, name, ImageIndex(tmp_path))


def test_read__a_damaged_yaml_hides_no_other_annotation_and_is_named_without_one(tmp_path):
    one_drawing.labelme(tmp_path / "labelme")
    one_drawing.yolo(tmp_path / "yolo")
    one_drawing.pictures(tmp_path / "bare")
    for name in ("labelme", "yolo", "bare"):
        (tmp_path / name / "aaa.yaml").write_text("{")
    for name in ("labelme", "yolo"):
        assert read_annotations(tmp_path / name, "auto", ImageIndex(tmp_path / name)).format.name == name
    with pytest.raises(DataError, match=r"bare/aaa\.yaml: is no YAML"):
        read_annotations(tmp_path / "bare", "auto", ImageIndex(tmp_path / "bare"))
