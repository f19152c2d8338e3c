"""Training on outlines: one drawing in every format, splits, options, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import yaml

from lightseg.data import AnnotatedImages, AnnotatedImagesClassification, MaskFolder
from lightseg.errors import UserError
from lightseg.labels import IGNORE
from tests.data.annotations import one_drawing
from tests.data.annotations.one_drawing import (
    CLASSES,
    COUNT,
    FORMATS,
    HEIGHT,
    NAMES,
    SPLITS,
    WIDTH,
    targets,
    write_json,
)
from tests.data.fabricate import picture, save


def label_hashes(module):
    """Hash of the labels of each image, which the fingerprint of the data holds."""
    result = {}
    for split in SPLITS:
        part = module.dataset(split)
        hashes = part.label_table(module.num_classes)[:, -1].tolist()
        result |= {part.name(index).rpartition("/")[2]: value for index, value in enumerate(hashes)}
    return result


@pytest.mark.parametrize("overlap", ["order", "area"])
@pytest.mark.parametrize("make", FORMATS, ids=lambda make: make.__name__)
def test_formats__one_drawing_is_one_target(tmp_path, make, overlap):
    one_drawing.masks(tmp_path / "masks", overlap == "area")
    options = make(tmp_path / "annotated")
    masks = MaskFolder(CLASSES, root=str(tmp_path / "masks"))
    annotated = AnnotatedImages(CLASSES, overlap=overlap, root=str(tmp_path / "annotated"), **options)
    expected, actual = targets(masks), targets(annotated)
    assert len(expected) == COUNT
    assert {name: mask.tobytes() for name, mask in actual.items()} == {
        name: mask.tobytes() for name, mask in expected.items()
    }
    assert all((mask.dtype, mask.shape) == (np.uint8, (HEIGHT, WIDTH)) for mask in actual.values())
    assert label_hashes(annotated) == label_hashes(masks)


@pytest.mark.parametrize(
    ("make", "classes"),
    [
        (one_drawing.coco, CLASSES),
        (one_drawing.yolo, CLASSES),
        (one_drawing.cvat, CLASSES),
        # it lists no classes
        (one_drawing.labelme, ["background", *sorted(NAMES)]),
    ],
)
def test_classes__are_those_of_the_annotations(tmp_path, make, classes):
    assert AnnotatedImages(root=str(tmp_path), **make(tmp_path)).classes == classes


@pytest.fixture
def annotated(tmp_path):
    """Return a data module of the drawing in COCO's format with some options."""
    options = one_drawing.coco(tmp_path)
    return lambda **changes: AnnotatedImages(root=str(tmp_path), **options, **changes)


def used(module):
    return sorted(np.unique(np.concatenate([mask.ravel() for mask in targets(module).values()])).tolist())


def test_options__of_classes(annotated):
    assert used(annotated()) == [0, 1, 2, 3]
    ignoring = annotated(ignore=["car"])
    assert (ignoring.classes, used(ignoring)) == (["background", "road", "sign"], [0, 1, 2, IGNORE])
    merged = annotated(merge={"car": "road", "sign": "background"})
    assert (merged.classes, used(merged)) == (["background", "road"], [0, 1])
    assert used(annotated(classes=["background", "sign"], other_classes="skip")) == [0, 1]
    assert used(annotated(classes=["background", "sign"], other_classes="ignore")) == [0, 1, IGNORE]
    void = annotated(background=None)
    assert (void.classes, used(void)) == (NAMES, [0, 1, 2, IGNORE])
    assert used(annotated(classes=["sign", "car", "road"], background="road")) == [0, 1, 2]


def test_options__crowds_are_of_their_class_or_void(tmp_path):
    options = one_drawing.coco_runs(tmp_path)
    assert used(AnnotatedImages(root=str(tmp_path), **options)) == [0, 1, 2, 3]
    assert used(AnnotatedImages(root=str(tmp_path), crowd="ignore", **options)) == [0, IGNORE]


def recipe_text(root, **options):
    """A recipe that trains a tiny net on annotations."""
    crop = {"class_path": "albumentations.RandomCrop", "init_args": {"height": 32, "width": 32}}
    content = {
        "base": ["configs/data/annotated_images.yaml", "configs/net/unet.yaml", "configs/hardware/cpu.yaml"],
        "data": {
            "init_args": {
                "root": str(root), "batch_size": 2, "num_workers": 0, "train_transforms": [crop], **options
            }
        },
        "model": {"init_args": {"net": {"init_args": {"width": 4, "depth": 2}}}},
        "trainer": {"max_epochs": 1, "precision": "32-true", "log_every_n_steps": 1},
    }  # fmt: skip
    return yaml.safe_dump(content)


def test_fit__trains_on_outlines_with_sampling_and_class_weights(fit, recipe, tmp_path):
    content = one_drawing.coco_content()
    # half of the images have no car
    content["annotations"] = [
        item for item in content["annotations"] if item["category_id"] != 8 or item["image_id"] % 2
    ]
    write_json(one_drawing.pictures(tmp_path / "data") / "a.json", content)
    path = recipe(recipe_text(tmp_path / "data", sampling="square_root", annotations="a.json"), "outlines.yaml")
    outcome = fit("--config", path, "--model.class_weights", "median_frequency")
    assert outcome.code == 0, outcome.err
    assert outcome.metrics["val/miou"] >= 0


def broken(content, **changes):
    """Content of a COCO file whose second annotation has other entries."""
    content["annotations"][1] |= changes
    return content


REFUSED = {
    "class": ({"category_id": 99}, "annotation 2: there is no category 99; add it to categories"),
    "image": ({"image_id": 5}, "annotation 2: there is no image 5; add it to images, or remove the annotation"),
    "points": ({"segmentation": [[1, 1, 5, 5]]}, "annotation 2 (road): has 2 points, and an area needs three"),
    "odd": ({"segmentation": [[1, 1, 5, 5, 9]]}, "annotation 2 (road): has 5 numbers, and each point needs two"),
    "outside": (
        {"segmentation": [[70, 1, 80, 5, 75, 9]]},
        "annotation 2 (road): lies outside of its image: x 70 to 80",
    ),
    "far": ({"segmentation": [[1, 1, 1e99, 5, 5, 9]]}, "annotation 2 (road): its outline holds 1e+99, which is no"),
    "text": ({"segmentation": [["a", 1, 5, 5, 9, 9]]}, "annotation 2 (road): its outline is no list of numbers"),
    "box": ({"segmentation": []}, "annotation 2 (road): has no outline in segmentation, only a box or points"),
    "runs": (
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [5, 5]}},
        "annotation 2 (road): its runs add up to 10 pixels, and 60×40 has 2400; export it again",
    ),
    "runs of another size": (
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [2400]}},
        "annotation 2 (road): is annotated as 40×60, and the image is 60×40 (width×height); the image's EXIF",
    ),
    "compressed runs": (
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "zzzzzz"}},
        "annotation 2 (road): its run-length encoding is damaged",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_check__names_file_and_broken_object(tmp_path, changes, message):
    one_drawing.pictures(tmp_path)
    write_json(tmp_path / "a.json", broken(one_drawing.coco_content(), **changes))
    with pytest.raises(UserError) as error:
        AnnotatedImages(root=str(tmp_path), annotations="a.json").check()
    assert str(error.value).startswith(f"{tmp_path}/a.json: ")
    assert message in str(error.value)


def test_fit__a_broken_object_is_one_line(fit, recipe, tmp_path):
    changes, message = REFUSED["points"]
    one_drawing.pictures(tmp_path / "data")
    write_json(tmp_path / "data" / "a.json", broken(one_drawing.coco_content(), **changes))
    assert message in refused(fit, recipe, tmp_path, annotations="a.json")


def refused(fit, recipe, tmp_path, **options):
    """Return the line with which `fit` refuses data, and leaves no run folder."""
    outcome = fit("--config", recipe(recipe_text(tmp_path / "data", **options), "broken.yaml"))
    assert outcome.code == 2, outcome
    assert not list((tmp_path / "runs").glob("*/*"))
    lines = [line for line in outcome.err.splitlines() if not line.startswith(("this is the first problem", "(and "))]
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"lightseg: error: {tmp_path / 'data'}"), lines
    return lines[0]


def without_a_picture(root):
    (root / "images" / "4.png").unlink()


def twice_a_picture(root):
    (root / "more").mkdir()
    shutil.copy(root / "images" / "4.png", root / "more" / "4.png")


def twice_an_entry(root):
    content = one_drawing.coco_content()
    content["images"].append({**content["images"][4], "id": 999})
    write_json(root / "annotations" / "instances.json", content)


def other_size(root):
    save(root / "images" / "4.png", picture(4, HEIGHT, WIDTH + 1))


def leads_out(root):
    content = one_drawing.coco_content()
    content["images"][4]["file_name"] = "../../../../elsewhere/4.png"
    write_json(root / "annotations" / "instances.json", content)


def no_number(root):
    path = root / "annotations" / "instances.json"
    path.write_text(path.read_text().replace("12", "NaN", 1))


def deep(root):
    (root / "annotations" / "instances.json").write_text("[" * 100_000 + "]" * 100_000)


def cut_off(root):
    path = root / "annotations" / "instances.json"
    path.write_text(path.read_text()[:-100])


def of_labelme(root):
    write_json(root / "annotations" / "instances.json", one_drawing.labelme_content(0, []))


def absent(root):
    (root / "annotations" / "instances.json").unlink()


FILES = {
    without_a_picture: "image 104: there is no image 4.png in {root}; add it, or set data.images",
    twice_a_picture: "image 104: 4.png may be images/4.png or more/4.png; write its path below {root}, or set",
    twice_an_entry: "image 999: images/4.png has another annotation, {root}/annotations/instances.json: image 104; rem",
    other_size: "images/4.png: is annotated as 60×40, and the image is 61×40 (width×height); the annotations are for",
    leads_out: "image 104: ../../../../elsewhere/4.png leads out of {root}; correct it, or set data.root",
    no_number: "{root}/annotations/instances.json: holds NaN, which is no number; export it again",
    deep: "{root}/annotations/instances.json: has too many levels of lists; export it again",
    cut_off: "{root}/annotations/instances.json: is no JSON (",
    of_labelme: "instances.json: is a file of LabelMe for one image; set data.annotations to its folder",
    absent: "annotations/instances.json: the folder does not exist",
}


@pytest.mark.parametrize(("damage", "message"), FILES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_check__names_a_broken_file(tmp_path, damage, message):
    options = one_drawing.coco(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError) as error:
        AnnotatedImages(root=str(tmp_path), **options).check()
    assert message.format(root=tmp_path) in str(error.value)


@pytest.mark.parametrize("damage", [without_a_picture, leads_out, deep])
def test_fit__a_broken_file_is_one_line(fit, recipe, tmp_path, damage):
    options = one_drawing.coco(tmp_path / "data")
    damage(tmp_path / "data")
    assert FILES[damage].format(root=tmp_path / "data") in refused(fit, recipe, tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["background"]}, "data.classes: 1 classes (background); 2 to 255 are needed"),
        ({"classes": ["road", "car"]}, "data.background: background is not among the classes; add it to data.classes"),
        ({"classes": ["background", "a", "a"]}, "data.classes: a is listed twice; to merge classes, use data.merge"),
        ({"ignore": ["cart"]}, "data.ignore: the annotations have no class cart; did you mean car?"),
        ({"classes": ["background", "road"], "merge": {"car": "rode"}}, "data.merge: rode is not among the classes"),
        ({"classes": ["background", "car"], "ignore": ["car"]}, "data.merge, data.ignore: car is also a class"),
        ({"ignore": ["car"], "merge": {"car": "road"}}, "data.ignore, data.merge: car is in both"),
        ({"annotations": {"val": "a.json"}}, "data.annotations: has no file of train"),
        ({"annotations": {"train": "a.json"}, "splits": {"train": "a", "val": "b"}}, "both define the splits"),
        ({"images": {"train": "a"}}, "data.images: names a folder for each split"),
    ],
)
def test_options__that_contradict_each_other_are_refused(annotated, tmp_path, options, message):
    with pytest.raises(UserError) as error:
        AnnotatedImages(**{"root": str(tmp_path), "annotations": "annotations/instances.json", **options}).dataset(
            "val"
        )
    assert message in str(error.value)


def test_fit__an_undeclared_class_names_the_nearest(fit, recipe, tmp_path):
    options = one_drawing.coco(tmp_path / "data")
    line = refused(fit, recipe, tmp_path, classes=["background", "road", "cars", "sign"], **options)
    assert "annotation 1 (car): car is not in data.classes; did you mean cars?; add it there" in line


def test_doctor__lists_broken_annotations(call, recipe, tmp_path):
    from lightseg import doctor

    options = one_drawing.labelme(tmp_path / "data")
    path = tmp_path / "data" / "labels" / "2.json"
    path.write_text(path.read_text().replace('"car"', '"boat"'))
    code, out, _ = call(doctor.main, recipe(recipe_text(tmp_path / "data", classes=CLASSES, **options), "doctor.yaml"))
    assert code == 1
    assert "shape 0 (boat): boat is not in data.classes" in out


# ---- classes of whole images -----------------------------------------------------------------------------------------


def tags(root, extra=()):
    """Pictures with one tag each, in CVAT's format."""
    rows = []
    for index in range(COUNT):
        save(root / f"{index}.png", picture(index, 32, 32))
        labels = ["cat" if index % 2 else "dog", *(extra if index == 3 else ())]
        children = "".join(f'<tag label="{label}"></tag>' for label in labels)
        rows.append(f'<image id="{index}" name="{index}.png" width="32" height="32">{children}</image>')
    (root / "a.xml").write_text(f"<annotations>{''.join(rows)}</annotations>")
    return AnnotatedImagesClassification(root=str(root), annotations="a.xml")


def test_classification__tags_are_classes(tmp_path):
    module = tags(tmp_path)
    assert module.classes == ["cat", "dog"]
    for split in SPLITS:
        part = module.dataset(split)
        assert len(part)
        assert [part[index][1] for index in range(len(part))] == [
            int(int(part.name(index)[0]) % 2 == 0) for index in range(len(part))
        ]


def test_classification__two_classes_of_an_image_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"a.xml: 3.png: has the classes cat and sheep, and a classification gives an"):
        tags(tmp_path, ["sheep"]).dataset("train")


def test_classification__the_class_of_all_objects(tmp_path):
    options = one_drawing.coco(tmp_path)
    path = tmp_path / "annotations" / "instances.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["category_id"] = 7 + annotation["image_id"] % 2
    write_json(path, content)
    module = AnnotatedImagesClassification(root=str(tmp_path), **options)
    assert module.classes == ["car", "road"]
    assert sum(module.class_counts(split) for split in SPLITS).tolist() == [5, 5]


def test_classification__an_image_without_a_class(tmp_path):
    tags(tmp_path)
    path = tmp_path / "a.xml"
    path.write_text(path.read_text().replace('<tag label="cat"></tag>', "", 1))
    with pytest.raises(UserError, match=r"1.png: has no annotation in .*a.xml; annotate it, or set"):
        AnnotatedImagesClassification(root=str(tmp_path), annotations="a.xml").dataset("train")
    module = AnnotatedImagesClassification(root=str(tmp_path), annotations="a.xml", missing_annotation="skip")
    assert sum(len(module.dataset(split)) for split in SPLITS) == COUNT - 1
