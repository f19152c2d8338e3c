"""Contract of all datasets of files."""

import shutil

import numpy as np
import pytest
from PIL import Image

from lightseg.data.datasets.annotated_images import AnnotatedImages, AnnotatedImagesClassification
from lightseg.data.datasets.camvid import CamVid
from lightseg.data.datasets.image_folder import ImageFolder
from lightseg.data.datasets.image_table import ImageTable
from lightseg.data.datasets.mask_folder import MaskFolder
from lightseg.data.datasets.multilabel_annotated_images import (
    MultilabelAnnotatedImages,
    MultilabelAnnotatedImagesClassification,
)
from lightseg.data.datasets.multilabel_mask_folder import MultilabelMaskFolder
from lightseg.data.datasets.oxford_pet import OxfordPet
from lightseg.data.datasets.pascal_voc import PascalVOC
from lightseg.labels import IGNORE
from tests.data import fabricate
from tests.data.annotations import one_drawing
from tests.data.datasets import labeled_pictures

MASKS = {
    "camvid": "trainannot/0000.png",
    "mask_folder": "train/masks/0.png",
    "multilabel_mask_folder": "train/masks/road/0.png",
    "oxford_pet": "oxford-iiit-pet/annotations/trimaps/{name}.png",
    "pascal_voc": "VOCdevkit/VOC2012/SegmentationClass/{name}.png",
}
SPLITS = ("train", "val", "test")


def _mask_folder(root):
    for index, split in enumerate(SPLITS):
        fabricate.folder(root / split, 5, values=(0, 1, 2, 255), first=10 * index)


def _multilabel_mask_folder(root):
    for index, split in enumerate(SPLITS):
        for name in ("road", "car"):
            fabricate.folder(root / split, 5, values=(0, 1, 255), masks=f"masks/{name}", first=10 * index)


def _image_folder(root):
    for index, split in enumerate(SPLITS):
        labeled_pictures.paint(root / split, 5, 10 * index)


def _image_table(root):
    _image_folder(root)
    rows = [[path, label, path.split("/")[0]] for path, label in labeled_pictures.rows_of(root)]
    labeled_pictures.write_table(root / "labels.csv", rows, ("path", "label", "split"))


def _move_a_picture(root):
    (root / "train/cat/00.png").rename(root / "train/dog/moved.png")


def _change_a_row(root):
    path = root / "labels.csv"
    path.write_text(path.read_text().replace("train/cat/00.png,cat", "train/cat/00.png,dog"))


def _annotated_images(root):
    one_drawing.pictures(root)
    for split, indices in zip(SPLITS, (range(6), (6, 7), (8, 9)), strict=True):
        one_drawing.write_json(root / f"{split}.json", one_drawing.coco_content(indices=indices))


def _annotated_labels(root):
    _image_folder(root)
    for split in SPLITS:
        rows = "".join(
            f'<image id="{path}" name="{path}" width="9" height="9"><tag label="{label}"/></image>'
            for path, label in labeled_pictures.rows_of(root)
            if path.startswith(split)
        )
        (root / f"{split}.xml").write_text(f"<annotations>{rows}</annotations>")


def _move_a_corner(root):
    path = root / "train.json"
    path.write_text(path.read_text().replace("20.3", "10.3", 1))


def _change_a_tag(root):
    path = root / "train.xml"
    path.write_text(path.read_text().replace('"cat"', '"dog"', 1))


RELABELINGS = {
    "annotated_images": _move_a_corner,
    "annotated_images_classification": _change_a_tag,
    "image_folder": _move_a_picture,
    "image_table": _change_a_row,
    "multilabel_annotated_images": _move_a_corner,
    "multilabel_annotated_images_classification": _change_a_tag,
}

JSON_FILES, XML_FILES = ({split: f"{split}.{suffix}" for split in SPLITS} for suffix in ("json", "xml"))

CASES = {
    "annotated_images": (
        _annotated_images,
        lambda root: AnnotatedImages(one_drawing.CLASSES, root=root, annotations=JSON_FILES),
    ),
    "annotated_images_classification": (
        _annotated_labels,
        lambda root: AnnotatedImagesClassification(classes=["cat", "dog"], root=root, annotations=XML_FILES),
    ),
    "camvid": (fabricate.camvid, CamVid),
    "image_folder": (_image_folder, lambda root: ImageFolder(["cat", "dog"], root=root)),
    "image_table": (_image_table, lambda root: ImageTable(f"{root}/labels.csv", classes=["cat", "dog"])),
    "mask_folder": (_mask_folder, lambda root: MaskFolder(["ground", "road", "car"], root=root)),
    "multilabel_annotated_images": (
        _annotated_images,
        lambda root: MultilabelAnnotatedImages(one_drawing.NAMES, root=root, annotations=JSON_FILES),
    ),
    "multilabel_annotated_images_classification": (
        _annotated_labels,
        lambda root: MultilabelAnnotatedImagesClassification(classes=["cat", "dog"], root=root, annotations=XML_FILES),
    ),
    "multilabel_mask_folder": (
        _multilabel_mask_folder,
        lambda root: MultilabelMaskFolder(["road", "car"], ignore=[IGNORE], root=root),
    ),
    "oxford_pet": (fabricate.oxford_pet, OxfordPet),
    "pascal_voc": (fabricate.pascal_voc, PascalVOC),
}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(params=CASES)
def dataset_case(request, tmp_path):
    make, module_class = CASES[request.param]
    make(tmp_path / "data")
    return request.param, module_class, tmp_path / "data"


@pytest.fixture
def module(dataset_case):
    _, module_class, root = dataset_case
    return module_class(str(root))


def count(target, module):
    """Return the pixels of each class."""
    if module.multilabel:
        return (target == 1).reshape(-1, module.num_classes).sum(0)
    return np.bincount(np.ravel(target), minlength=256)[: module.num_classes]


def count_valid(target, module):
    """Return the pixels that are not void, of each class."""
    if module.multilabel:
        return (target != IGNORE).reshape(-1, module.num_classes).sum(0).tolist()
    return [int(np.sum(np.asarray(target) != IGNORE))] * module.num_classes


def samples(module, split):
    dataset = module.dataset(split)
    return [dataset[index] for index in range(len(dataset))]


def test_contract__samples(module):
    module.check()
    for split in SPLITS:
        assert len(module.dataset(split)) > 0
        for image, target in samples(module, split):
            assert image.dtype == np.uint8
            if module.multilabel:
                size = image.shape[:2] if module.kind == "segmentation" else ()
                assert target.shape == (*size, module.num_classes)
                assert set(np.unique(target)) <= {0, 1, IGNORE}
            elif module.kind == "segmentation":
                assert target.dtype == np.uint8
                assert image.shape == (*target.shape, 3)
            else:
                assert type(target) is int
            assert set(np.unique(target)) <= {*range(module.num_classes), IGNORE}


def test_contract__names_are_unique_and_splits_disjoint(module):
    names = [module.dataset(split).name(i) for split in SPLITS for i in range(len(module.dataset(split)))]
    assert len(set(names)) == len(names)


def test_contract__counts_are_the_pixels_that_are_not_void(module):
    for split in SPLITS:
        by_hand = sum(count(target, module) for _, target in samples(module, split))
        assert module.class_counts(split).tolist() == by_hand.tolist()
        assert module.truth_table(split).sum() == sum(
            np.sum(np.asarray(target) != IGNORE) for _, target in samples(module, split)
        )


def test_contract__class_table_has_a_row_for_each_target(module):
    targets = [target for _, target in samples(module, "train")]
    by_hand = [count(target, module).tolist() for target in targets]
    assert module.class_table("train").tolist() == by_hand
    # once more, from the cache
    assert module.class_table("train").tolist() == by_hand
    valid = [count_valid(target, module) for target in targets]
    extents = [
        sum(number[label] for number, row in zip(valid, by_hand, strict=True) if row[label])
        for label in range(module.num_classes)
    ]
    assert module.class_extents("train").tolist() == extents


def test_contract__one_color_per_class(module):
    assert len(module.palette) == module.num_classes == len(set(module.classes))


def test_contract__fingerprint_does_not_depend_on_the_folder(dataset_case, tmp_path):
    _, module_class, root = dataset_case
    shutil.copytree(root, tmp_path / "copy")
    assert module_class(str(root)).fingerprint() == module_class(str(tmp_path / "copy")).fingerprint()


def test_contract__fingerprint_and_cache_key_follow_a_changed_target(dataset_case):
    kind, module_class, root = dataset_case
    before = module_class(str(root))
    shas, keys = before.fingerprint(), before.dataset("train").cache_key()
    if kind in MASKS:
        path = root / MASKS[kind].format(name=before.dataset("train").name(0).rsplit("/", 1)[-1].removesuffix(".jpg"))
        with Image.open(path) as mask:
            turned = mask.transpose(Image.Transpose.ROTATE_180)
        turned.save(path)
    else:
        RELABELINGS[kind](root)
    after = module_class(str(root))
    assert after.fingerprint()["train"] != shas["train"]
    assert after.fingerprint()["test"] == shas["test"]
    assert after.dataset("train").cache_key() != keys


def test_contract__batches_come_out(module):
    module.batch_size, module.num_workers = 1, 0
    assert next(iter(module.train_dataloader()))["image"].shape[1] == 3
    indices = [int(index) for batches in module.test_dataloader() for batch in batches for index in batch["index"]]
    assert sorted(indices) == list(range(len(module.dataset("test"))))


def test_contract__constructor_reads_no_file(dataset_case):
    _, module_class, _ = dataset_case
    assert module_class("/nowhere").num_classes > 1
