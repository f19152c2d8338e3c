"""Outlines of objects whose classes may overlap: one drawing in every format, void, one class, and a training."""

import json

import numpy as np
import pytest
import yaml

from lightseg import doctor
from lightseg.data import MultilabelAnnotatedImages, MultilabelAnnotatedImagesClassification, MultilabelMaskFolder
from lightseg.errors import UserError
from lightseg.labels import IGNORE
from tests.data.annotations import one_drawing
from tests.data.annotations.one_drawing import COUNT, FORMATS, HEIGHT, NAMES, WIDTH, pixels, targets, write_json
from tests.data.fabricate import picture, save


def channels(index, names=NAMES):
    """Mask of each class, `(H, W, K)`, as the union of its objects."""
    masks = np.zeros((HEIGHT, WIDTH, len(names)), np.uint8)
    for name, outline in one_drawing.objects(index):
        if name in names:
            masks[pixels(name, outline), names.index(name)] = 1
    return masks


def as_bytes(masks):
    return {name: (mask.dtype, mask.shape, mask.tobytes()) for name, mask in masks.items()}


@pytest.mark.parametrize("make", FORMATS, ids=lambda make: make.__name__)
def test_formats__one_drawing_is_one_target_with_its_overlaps(tmp_path, make):
    one_drawing.pictures(tmp_path / "masks")
    for index in range(COUNT):
        for label, name in enumerate(NAMES):
            save(tmp_path / f"masks/masks/{name}/{index}.png", channels(index)[..., label])
    expected = targets(MultilabelMaskFolder(NAMES, root=str(tmp_path / "masks")))
    options = make(tmp_path / "annotated")
    module = MultilabelAnnotatedImages(NAMES, root=str(tmp_path / "annotated"), **options)
    module.check()
    assert len(expected) == COUNT
    assert max(mask.sum(-1).max() for mask in expected.values()) == 2
    assert as_bytes(targets(module)) == as_bytes(expected)


@pytest.fixture
def annotated(tmp_path):
    """Return a data module of the drawing in COCO's format with some options."""
    options = one_drawing.coco(tmp_path / "data")
    return lambda **changes: MultilabelAnnotatedImages(root=str(tmp_path / "data"), **options, **changes)


def test_classes__are_those_of_the_annotations_without_a_background(annotated):
    module = annotated()
    assert module.classes == NAMES
    assert len(set(module.palette)) == len(NAMES)
    merged = annotated(merge={"sign": "car"})
    assert merged.classes == ["road", "car"]
    masks = channels(0)
    masks[..., 1] |= masks[..., 2]
    assert np.array_equal(targets(merged)["0.png"], masks[..., :2])


def test_classes__one_is_binary(annotated):
    module = annotated(classes=["car"], other_classes="skip")
    module.check()
    assert np.array_equal(targets(module)["3.png"], channels(3, ["car"]))


def test_ignore__is_void_for_every_class_whatever_lies_above(annotated):
    # the car lies under the road
    is_car = channels(0, ["car"])[..., 0] == 1
    expected = channels(0, ["road", "sign"])
    assert (expected[is_car] == 1).any()
    expected[is_car] = IGNORE
    module = annotated(ignore=["car"])
    assert np.array_equal(targets(module)["0.png"], expected)
    other = annotated(classes=["road", "sign"], other_classes="ignore")
    assert as_bytes(targets(other)) == as_bytes(targets(module))


def test_crowd__is_void_for_its_class_alone(tmp_path):
    content = one_drawing.coco_content()
    for item in content["annotations"]:
        item["iscrowd"] = int(item["category_id"] == 7 + NAMES.index("car"))
    write_json(one_drawing.pictures(tmp_path) / "a.json", content)
    options = {"root": str(tmp_path), "annotations": "a.json"}
    assert np.array_equal(targets(MultilabelAnnotatedImages(**options))["0.png"], channels(0))
    expected = channels(0)
    expected[..., 1] *= IGNORE
    assert np.array_equal(targets(MultilabelAnnotatedImages(crowd="ignore", **options))["0.png"], expected)


def test_nodata__is_void_for_every_class(tmp_path):
    options = one_drawing.coco(tmp_path)
    for path in (tmp_path / "images").iterdir():
        image = np.full((HEIGHT, WIDTH, 3), 9, np.uint8)
        image[:8] = 0
        save(path, image)
    module = MultilabelAnnotatedImages(root=str(tmp_path), nodata=0, **options)
    expected = channels(0)
    expected[:8] = IGNORE
    assert np.array_equal(targets(module)["0.png"], expected)
    part = module.dataset("val")
    by_hand = sum((part[index][1] == 1).sum((0, 1)) for index in range(len(part)))
    assert module.class_counts("val").tolist() == by_hand.tolist()


def test_folds_and_cache__give_the_same_targets(annotated, monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "cache"))
    expected = {f"{index}.png": channels(index) for index in range(COUNT)}
    fold = annotated(folds=3, fold=1, num_workers=0)
    counts = {
        part.name(index): part[index][1].sum((0, 1)).tolist() for part in [fold.dataset("val")] for index in (0, 1)
    }
    assert [counts[fold.dataset("val").name(index)] for index in (0, 1)] == fold.class_table("val")[:2].tolist()
    cached = annotated(num_workers=0)
    cached.decode()
    assert type(cached.dataset("train")).__name__ == "DecodedDataset"
    assert as_bytes(targets(cached)) == as_bytes(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": []}, "data.classes: 0 classes (); 1 to 255 are needed"),
        ({"classes": ["road", "road"]}, "data.classes: road is listed twice"),
        ({"classes": ["road"]}, "annotation 1 (car): car is not in data.classes; "),
        ({"ignore": ["cart"]}, "data.ignore: the annotations have no class cart; did you mean car?"),
        ({"ignore": NAMES}, "instances.json: 0 classes (); 1 to 255 are needed"),
    ],
    ids=str,
)
def test_options__that_are_wrong_are_one_line(annotated, options, message):
    with pytest.raises(UserError) as error:
        annotated(**options).check()
    assert message in str(error.value)


def recipe_text(root, **options):
    """A recipe that trains a tiny net on annotations."""
    crop = {"class_path": "RareClassCrop", "init_args": {"height": 32, "width": 32}}
    data = {"root": str(root), "batch_size": 2, "num_workers": 0, "train_transforms": [crop], **options}
    content = {
        "base": [
            "configs/data/multilabel_annotated_images.yaml",
            "configs/net/unet_multilabel.yaml",
            "configs/hardware/cpu.yaml",
        ],
        "data": {"init_args": data},
        "model": {"init_args": {"net": {"init_args": {"width": 4, "depth": 2}}}},
        "trainer": {"max_epochs": 1, "precision": "32-true", "log_every_n_steps": 1},
    }
    return yaml.safe_dump(content)


def test_fit__trains_with_sampling_and_weights(fit, recipe, tmp_path):
    content = one_drawing.coco_content()
    # half of the images have no car
    content["annotations"] = [
        item for item in content["annotations"] if item["category_id"] != 8 or item["image_id"] % 2
    ]
    write_json(one_drawing.pictures(tmp_path / "data") / "a.json", content)
    text = recipe_text(tmp_path / "data", annotations="a.json", sampling="square_root", rare_classes=["car"])
    outcome = fit("--config", recipe(text, "outlines.yaml"), "--model.positive_weights", "balanced")
    assert outcome.code == 0, outcome.err
    assert {"val/iou/road", "val/iou/car", "val/iou/sign", "val/miou"} <= outcome.metrics.keys()


def test_doctor__finds_a_broken_object_and_nothing_else(call, recipe, tmp_path):
    options = one_drawing.labelme(tmp_path / "data")
    path = recipe(recipe_text(tmp_path / "data", classes=NAMES, **options), "doctor.yaml")
    command = (path, "--out", tmp_path / "doctor", "--json", tmp_path / "report")

    def errors():
        _, out, err = call(doctor.main, *command)
        findings = json.loads((tmp_path / "report").read_text())["findings"]
        return [finding["what"] for finding in findings if finding["severity"] == "error"], out + err

    assert errors()[0] == [], errors()[1]
    assert (tmp_path / "doctor/samples.png").is_file()
    labels = tmp_path / "data" / "labels" / "2.json"
    labels.write_text(labels.read_text().replace('"car"', '"boat"'))
    messages, _ = errors()
    assert len(messages) == 1
    assert "shape 0 (boat): boat is not in data.classes" in messages[0]


# ---- classes of whole images -----------------------------------------------------------------------------------------


def write_tags(root):
    """Pictures with the tag `wet`, `cold`, both or none, in CVAT's format."""
    rows = []
    for index in range(COUNT):
        save(root / f"{index}.png", picture(index, 32, 32))
        children = "".join(f'<tag label="{name}"></tag>' for name, label in labels(index).items() if label)
        rows.append(f'<image id="{index}" name="{index}.png" width="32" height="32">{children}</image>')
    (root / "a.xml").write_text(f"<annotations>{''.join(rows)}</annotations>")


def labels(index):
    return {"cold": int(index % 2 == 0), "wet": int(index % 3 == 0)}


def labels_by_name(module):
    """Labels of each image, by its name."""
    return {name: target.tolist() for name, target in targets(module).items()}


def test_classification__tags_are_labels_and_an_image_without_any_has_none(tmp_path):
    write_tags(tmp_path)
    options = {"root": str(tmp_path), "annotations": "a.xml"}
    module = MultilabelAnnotatedImagesClassification(**options)
    module.check()
    assert module.classes == ["cold", "wet"]
    expected = {f"{index}.png": list(labels(index).values()) for index in range(COUNT)}
    assert [0, 0] in expected.values()
    assert labels_by_name(module) == expected
    skipped = MultilabelAnnotatedImagesClassification(missing_annotation="skip", **options)
    assert labels_by_name(skipped) == {name: row for name, row in expected.items() if any(row)}


def test_classification__one_class_is_binary(tmp_path):
    write_tags(tmp_path)
    options = {"root": str(tmp_path), "annotations": "a.xml", "classes": ["wet"]}
    module = MultilabelAnnotatedImagesClassification(other_classes="skip", **options)
    assert labels_by_name(module) == {f"{index}.png": [labels(index)["wet"]] for index in range(COUNT)}
    with pytest.raises(UserError, match=r"a.xml: 0.png: has the class cold, which is not in data.classes"):
        MultilabelAnnotatedImagesClassification(**options).check()


def test_classification__classes_of_all_objects(tmp_path):
    options = one_drawing.coco(tmp_path)
    module = MultilabelAnnotatedImagesClassification(root=str(tmp_path), **options)
    assert module.classes == sorted(NAMES)
    assert set(map(tuple, labels_by_name(module).values())) == {(1, 1, 1)}


def test_classification__is_trained(fit, recipe, tmp_path):
    (tmp_path / "data").mkdir()
    write_tags(tmp_path / "data")
    text = f"""
base: [configs/data/annotated_images_labels.yaml, configs/net/simple_cnn.yaml, configs/hardware/cpu.yaml]
model: {{class_path: MultilabelClassificationTask, init_args: {{loss: bce}}}}
data:
  init_args: {{root: {tmp_path / "data"}, annotations: a.xml, batch_size: 2, num_workers: 0,
    train_transforms: [], eval_transforms: []}}
trainer: {{max_epochs: 1, precision: 32-true, log_every_n_steps: 1}}
"""
    outcome = fit("--config", recipe(text, "labels.yaml"))
    assert outcome.code == 0, outcome.err
    assert {"val/f1/cold", "val/f1/wet"} <= outcome.metrics.keys()
    assert "macro_f1 (score)" in outcome.out
