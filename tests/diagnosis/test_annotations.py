"""Findings about annotated outlines, by the doctor as a user calls it."""

import json

import numpy as np
import pytest

from lightseg import doctor
from tests.data.annotations.one_drawing import COUNT, HEIGHT, WIDTH, pictures, square, write_json


@pytest.fixture
def findings(call, recipe, tmp_path):
    """Return the findings about a COCO file with some objects in each image, by check."""

    def find(objects_of, **options):
        root = pictures(tmp_path / "data")
        entries = [(index, *item) for index in range(COUNT) for item in objects_of(index)]
        names = sorted({name for _, name, _ in entries})
        content = {
            "images": [{"id": index, "file_name": f"{index}.png"} for index in range(COUNT)],
            "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
            "annotations": [
                {"image_id": index, "category_id": names.index(name), "segmentation": [np.ravel(outline).tolist()]}
                for index, name, outline in entries
            ],
        }
        write_json(root / "a.json", content)
        lines = "".join(f"    {name}: {value}\n" for name, value in options.items())
        text = f"""
data:
  class_path: lightseg.data.AnnotatedImages
  init_args:
    root: {root}
    annotations: a.json
    num_workers: 0
{lines}"""
        path = recipe(text, "annotated.yaml")
        _, _, err = call(doctor.main, path, "--out", tmp_path / "out", "--json", tmp_path / "report")
        assert err == "" or "not clean" in err, err
        return {item["check"]: item for item in json.loads((tmp_path / "report").read_text())["findings"]}

    return find


CAR = ("car", square(5, 5, 20, 25))


def test_clipped__outlines_that_leave_their_image_are_counted(findings):
    wide, rounded = ("car", square(30, 10, WIDTH + 12, 30)), ("car", square(-0.5, 5, 20, HEIGHT + 0.9))
    finding = findings(lambda index: [CAR, [wide, rounded][index % 2]])["clipped outline"]
    assert finding["severity"] == "note"
    assert finding["what"] == "5 of 20 outlines in 5 images reach beyond the image, by up to 12 pixels, and are clipped"
    assert sorted(finding["files"]) == [f"images/{index}.png" for index in range(0, COUNT, 2)]
    assert "clipped outline" not in findings(lambda index: [CAR, rounded])


def test_undeclared__all_classes_and_objects_are_counted(findings):
    def objects(index):
        return [
            CAR,
            *[("boat", square(30, 5, 40, 15))] * (index % 2),
            *[("bus", square(30, 20, 50, 30))] * (index == 3),
        ]

    classes = "[background, car]"
    finding = findings(objects, classes=classes)["undeclared class"]
    assert finding["severity"] == "error"
    assert "boat is not in data.classes (6 objects in all: boat (5), bus (1))" in finding["what"]
    assert finding["mend"].endswith("add it there or to data.ignore, or set other_classes: skip")
    assert len(finding["files"]) == 5
    note = findings(objects, classes=classes, other_classes="skip")["undeclared class"]
    assert (note["severity"], note["what"]) == (
        "note",
        "6 objects of classes that are not declared: boat (5), bus (1)",
    )
    assert note["mend"].startswith("they are left out, as other_classes says; ")
    void = findings(objects, classes=classes, other_classes="ignore")["undeclared class"]
    assert void["mend"].startswith("they are void, ")


@pytest.mark.parametrize(("number", "severity"), [(2, "warning"), (5, "note")])
def test_unannotated__images_without_annotation_are_no_empty_masks(findings, number, severity):
    result = findings(lambda index: [CAR] if index >= number else [])
    finding = result["image without annotation"]
    assert finding["severity"] == severity
    assert finding["what"] == f"{number} images of {COUNT} without annotation, as if they held no object"
    assert sorted(finding["files"]) == [f"images/{index}.png" for index in range(number)]
    assert "empty mask" not in result
    assert "image without annotation" not in findings(
        lambda index: [CAR] if index >= number else [], missing_annotation="skip"
    )
