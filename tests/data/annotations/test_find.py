"""Recognition of annotation files."""

import pytest

from lightseg.data.annotations.find import find_yaml, read_annotations
from lightseg.data.annotations.images import ImageIndex
from lightseg.errors import DataError
from tests.data.annotations import one_drawing


@pytest.mark.parametrize(
    ("make", "name"),
    [(getattr(one_drawing, name), name) for name in ("coco", "yolo", "labelme", "cvat")],
)
def test_read_annotations__recognizes_the_format(tmp_path, make, name):
    options = make(tmp_path) or {}
    path = tmp_path / options.get("annotations", ".")
    annotations = read_annotations(path, "auto", ImageIndex(tmp_path))
    assert annotations.format.name == name
    assert len(annotations.images) == one_drawing.COUNT
    assert len(read_annotations(path, name, ImageIndex(tmp_path)).images) == one_drawing.COUNT


def test_read_annotations__a_folder_of_yolo_is_its_yaml_file(tmp_path):
    one_drawing.yolo(tmp_path)
    (tmp_path / "a.yaml").write_text("title: nothing of YOLO")
    assert find_yaml(tmp_path) == tmp_path / "data.yaml"
    assert read_annotations(tmp_path, "auto", ImageIndex(tmp_path)).path == tmp_path / "data.yaml"


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("nowhere", "auto", r"nowhere: .*; set data\.annotations to a file or folder of annotations$"),
        ("images", "auto", "images: holds no YAML file of YOLO and no JSON file of LabelMe; "),
        ("images", "coco", "images: holds no file of coco; "),
        ("notes.txt", "auto", r"notes\.txt: is no JSON, YAML or XML file; set data\.annotations"),
        ("notes.txt", "labelme", r"notes\.txt: is a file; set data\.annotations to the folder of LabelMe's files$"),
    ],
)
def test_read_annotations__where_there_are_none(tmp_path, path, name, message):
    one_drawing.pictures(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=message):
        read_annotations(tmp_path / path, name, ImageIndex(tmp_path))
