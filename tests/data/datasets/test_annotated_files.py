"""Splits of annotated images, and images without an annotation."""

import pytest

from lightseg.data import AnnotatedImages, MaskFolder
from lightseg.errors import UserError
from tests.data.annotations import one_drawing
from tests.data.annotations.one_drawing import CLASSES, HEIGHT, SPLITS, WIDTH, names, targets, write_json
from tests.data.fabricate import picture, save


def test_splits__a_random_split_is_that_of_masks(tmp_path):
    one_drawing.masks(tmp_path / "masks")
    options = one_drawing.coco(tmp_path / "annotated")
    masks = MaskFolder(CLASSES, root=str(tmp_path / "masks"))
    annotated = AnnotatedImages(CLASSES, root=str(tmp_path / "annotated"), **options)
    assert [len(masks.dataset(split)) for split in SPLITS] == [len(annotated.dataset(split)) for split in SPLITS]


def test_splits__of_a_file_each_of_lists_and_of_the_annotations(tmp_path):
    one_drawing.pictures(tmp_path)
    for split, indices in {"train": range(6), "val": (6, 7), "test": (8, 9)}.items():
        write_json(tmp_path / f"instances_{split}.json", one_drawing.coco_content(indices=indices))
    files = {split: f"instances_{split}.json" for split in SPLITS}
    module = AnnotatedImages(CLASSES, root=str(tmp_path), annotations=files)
    assert names(module, "val") == ["images/6.png", "images/7.png"]
    assert names(module, "test") == ["images/8.png", "images/9.png"]
    without_val = AnnotatedImages(CLASSES, root=str(tmp_path), annotations={"train": files["train"]})
    assert sorted(names(without_val, "train") + names(without_val, "val")) == [f"images/{i}.png" for i in range(6)]
    assert not names(without_val, "test")
    one_drawing.yolo(tmp_path)
    by_annotation = AnnotatedImages(CLASSES, root=str(tmp_path), annotations="data.yaml")
    assert names(by_annotation, "test") == ["images/8.png", "images/9.png"]
    lists = {"train": "val.txt", "val": "test.txt"}
    by_list = AnnotatedImages(CLASSES, root=str(tmp_path), annotations="data.yaml", splits=lists)
    assert names(by_list, "train") == ["images/6.png", "images/7.png"]


def test_splits__of_folders(tmp_path):
    for split in ("train", "valid"):
        for index in range(3):
            save(tmp_path / split / f"{split}{index}.png", picture(index, HEIGHT, WIDTH))
            content = one_drawing.labelme_content(index, [one_drawing.labelme_shape(*one_drawing.objects(0)[1])])
            write_json(tmp_path / split / f"{split}{index}.json", content)
    module = AnnotatedImages(["background", "road"], root=str(tmp_path))
    assert names(module, "val") == ["valid/valid0.png", "valid/valid1.png", "valid/valid2.png"]


def test_splits__of_pictures_with_the_same_names(tmp_path):
    for split in ("train", "val"):
        one_drawing.pictures(tmp_path / split)
        write_json(tmp_path / f"{split}.json", one_drawing.coco_content(indices=range(3)))
    files, folders = {"train": "train.json", "val": "val.json"}, {"train": "train", "val": "val"}
    with pytest.raises(UserError, match=r"0.png may be train/images/0.png or val/images/0.png"):
        AnnotatedImages(CLASSES, root=str(tmp_path), annotations=files).dataset("train")
    module = AnnotatedImages(CLASSES, root=str(tmp_path), annotations=files, images=folders)
    assert names(module, "val") == ["val/images/0.png", "val/images/1.png", "val/images/2.png"]


def test_splits__of_an_image_in_two_files_is_refused(tmp_path):
    one_drawing.pictures(tmp_path)
    for split, indices in {"train": range(6), "val": (5, 7)}.items():
        write_json(tmp_path / f"{split}.json", one_drawing.coco_content(indices=indices))
    module = AnnotatedImages(CLASSES, root=str(tmp_path), annotations={"train": "train.json", "val": "val.json"})
    with pytest.raises(UserError, match="images/5.png: in train and in val; .* or leave out val"):
        module.dataset("train")


def test_options__an_image_without_an_annotation(tmp_path):
    options = one_drawing.labelme(tmp_path) or {}
    (tmp_path / "labels" / "3.json").unlink()

    def module(**changes):
        return AnnotatedImages(CLASSES, root=str(tmp_path), **options, **changes)

    with pytest.raises(UserError, match=r"images/3.png: has no annotation in .*; annotate it, or set missing_annot"):
        module().dataset("train")
    assert "3.png" not in targets(module(missing_annotation="skip"))
    assert not targets(module(missing_annotation="background"))["3.png"].any()


def test_splits__of_folders_that_are_of_no_known_name_are_refused(tmp_path):
    for split in ("train1", "val1"):
        one_drawing.labelme(tmp_path / split)
    with pytest.raises(UserError, match="train1, val1 look like splits, but would be mixed; rename them to train, val"):
        AnnotatedImages(CLASSES, root=str(tmp_path)).dataset("train")


def test_splits__of_some_images_alone_are_refused(tmp_path):
    one_drawing.cvat(tmp_path)
    path = tmp_path / "annotations.xml"
    path.write_text(path.read_text().replace('name="3.png"', 'name="3.png" subset="train"'))
    with pytest.raises(UserError, match=r"annotations.xml: 0.png: is of no split, as other images are; name one"):
        AnnotatedImages(CLASSES, root=str(tmp_path), annotations="annotations.xml").dataset("train")


@pytest.mark.parametrize("split", SPLITS)
def test_splits__without_any_annotation_are_refused_unless_an_option_says_so(tmp_path, split):
    one_drawing.yolo(tmp_path)
    for line in (tmp_path / f"{split}.txt").read_text().split():
        (tmp_path / "labels" / line.rpartition("/")[2].replace(".png", ".txt")).unlink()
    number = len(names(AnnotatedImages(root=str(tmp_path), missing_annotation="background"), split))
    with pytest.raises(
        UserError, match=f"data.yaml: annotates none of the {number} images of {split}; looked for .*txt"
    ):
        AnnotatedImages(root=str(tmp_path)).dataset(split)


def test_splits__at_random_without_any_annotation_are_refused(tmp_path):
    write_json(one_drawing.pictures(tmp_path) / "a.json", one_drawing.coco_content() | {"annotations": []})
    with pytest.raises(UserError, match=r"annotates none of the 10 images; looked for .*a.json: image 100; add annot"):
        AnnotatedImages(CLASSES, root=str(tmp_path), annotations="a.json").dataset("train")


def test_splits__of_a_link_to_another_image_are_refused(tmp_path):
    one_drawing.yolo(tmp_path)
    (tmp_path / "images/9.png").unlink()
    (tmp_path / "images/9.png").symlink_to("0.png")
    module = AnnotatedImages(CLASSES, root=str(tmp_path), annotations="data.yaml")
    with pytest.raises(UserError, match=r"images/9\.png is the file images/0\.png; remove one of the two"):
        module.dataset("train")
