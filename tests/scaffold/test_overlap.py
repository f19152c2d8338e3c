"""Share of pixels and images with several classes, and the choice of masks for outlines."""

import numpy as np
import pytest

from lightseg.data import AnnotatedImages, ImageTable, MultilabelAnnotatedImages, MultilabelMaskFolder
from lightseg.scaffold.layout import Layout
from lightseg.scaffold.overlap import choose_drawing, measure_overlap
from tests.data.annotations.one_drawing import COUNT, pictures, write_json
from tests.data.fabricate import picture, save


def outlines(root, shift):
    """A car of 200 pixels in each image, and a road of 200 pixels that covers it but for some columns."""
    content = {
        "images": [{"id": index, "file_name": f"{index}.png"} for index in range(COUNT)],
        "categories": [{"id": 0, "name": "car"}, {"id": 1, "name": "road"}],
        "annotations": [
            {"image_id": index, "category_id": label, "segmentation": [[x, 5, x + 20, 5, x + 20, 15, x, 15]]}
            for index in range(COUNT)
            for label, x in enumerate((5, 5 + shift))
        ],
    }
    write_json(pictures(root) / "a.json", content)
    return Layout(
        AnnotatedImages, {"root": str(root), "annotations": "a.json", "overlap": "area"}, "", "", {"overlap": "why"}
    )


def test_measure__outlines(tmp_path):
    layout = outlines(tmp_path, shift=10)
    module = MultilabelAnnotatedImages(root=str(tmp_path), annotations="a.json")
    # of 30 columns, 10 have both
    assert measure_overlap(module.make_dataset("train")) == pytest.approx(1 / 3)
    chosen = choose_drawing(layout, {})
    assert (chosen.module, chosen.options) == (
        MultilabelAnnotatedImages,
        {"root": str(tmp_path), "annotations": "a.json"},
    )
    assert chosen.reasons == {}


@pytest.mark.parametrize(
    "answers", [{"overlap": "order"}, {"background": None}, {"classes": ["background", "car", "road"]}]
)
def test_choose__options_of_one_class_for_each_pixel_win(tmp_path, answers):
    layout = outlines(tmp_path, shift=10)
    assert choose_drawing(layout, answers) is layout


def test_choose__a_small_overlap_is_a_remark(tmp_path):
    chosen = choose_drawing(outlines(tmp_path, shift=19), {})
    assert chosen.module is AnnotatedImages
    assert chosen.options["overlap"] == "area"
    assert chosen.reasons["overlap"].startswith(
        "why; 2.6% of the pixels of objects have several classes, which configs/"
    )


def test_choose__without_overlap_nothing_is_said(tmp_path):
    layout = outlines(tmp_path, shift=20)
    assert choose_drawing(layout, {}) is layout


def test_measure__masks_and_broken_ones(tmp_path):
    for index in range(8):
        save(tmp_path / f"images/{index}.png", picture(index, 8, 8))
        for label, name in enumerate("ab"):
            mask = np.zeros((8, 8), np.uint8)
            mask[:, label : label + 2] = 1
            save(tmp_path / f"masks/{name}/{index}.png", mask)
    module = MultilabelMaskFolder(["a", "b"], root=str(tmp_path))
    (tmp_path / "masks/a/0.png").write_bytes(b"x")
    assert measure_overlap(module.make_dataset("train")) == pytest.approx(1 / 3)


def test_measure__labels(tmp_path):
    rows = ["path,a,b"]
    for index in range(12):
        save(tmp_path / f"{index}.png", picture(index))
        rows.append(f"{index}.png,{int(index % 2)},{int(index % 4 == 1)}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    options = {"val_fraction": 0.1, "test_fraction": 0}
    part = ImageTable(str(tmp_path / "labels.csv"), label_columns=["a", "b"], **options).make_dataset("train")
    labels = [part[index][1].tolist() for index in range(len(part))]
    assert measure_overlap(part) == labels.count([1, 1]) / (labels.count([1, 1]) + labels.count([1, 0]))
