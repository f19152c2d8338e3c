"""Contract of all datasets of files."""

import shutil

import numpy as np
import pytest
from PIL import Image

from lightseg.data.datasets.camvid import CamVid
from lightseg.data.datasets.mask_folder import MaskFolder
from lightseg.data.datasets.oxford_pet import OxfordPet
from lightseg.data.datasets.pascal_voc import PascalVOC
from lightseg.labels import IGNORE
from tests.data import fabricate

MASKS = {
    "camvid": "trainannot/0000.png",
    "mask_folder": "train/masks/0.png",
    "oxford_pet": "oxford-iiit-pet/annotations/trimaps/{name}.png",
    "pascal_voc": "VOCdevkit/VOC2012/SegmentationClass/{name}.png",
}
SPLITS = ("train", "val", "test")


def _mask_folder(root):
    for index, split in enumerate(SPLITS):
        fabricate.folder(root / split, 5, values=(0, 1, 2, 255), first=10 * index)


CASES = {
    "camvid": (fabricate.camvid, CamVid),
    "mask_folder": (_mask_folder, lambda root: MaskFolder(["ground", "road", "car"], root=root)),
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


def samples(module, split):
    dataset = module.dataset(split)
    return [dataset[index] for index in range(len(dataset))]


def test_contract__samples(module):
    module.check()
    for split in SPLITS:
        assert len(module.dataset(split)) > 0
        for image, mask in samples(module, split):
            assert image.dtype == mask.dtype == np.uint8
            assert image.shape == (*mask.shape, 3)
            assert set(np.unique(mask)) <= {*range(module.num_classes), IGNORE}


def test_contract__names_are_unique_and_splits_disjoint(module):
    names = [module.dataset(split).name(i) for split in SPLITS for i in range(len(module.dataset(split)))]
    assert len(set(names)) == len(names)


def test_contract__counts_are_the_pixels_that_are_not_void(module):
    for split in SPLITS:
        by_hand = sum(np.bincount(mask.ravel(), minlength=256) for _, mask in samples(module, split))
        assert module.class_counts(split).tolist() == by_hand[: module.num_classes].tolist()
        assert module.class_counts(split).sum() == sum((mask != IGNORE).sum() for _, mask in samples(module, split))


def test_contract__class_table_has_a_row_for_each_mask(module):
    masks = [mask for _, mask in samples(module, "train")]
    by_hand = [np.bincount(mask.ravel(), minlength=256)[: module.num_classes].tolist() for mask in masks]
    assert module.class_table("train").tolist() == by_hand
    # once more, from the cache
    assert module.class_table("train").tolist() == by_hand
    extents = [sum(sum(row) for row in by_hand if row[label]) for label in range(module.num_classes)]
    assert module.class_extents("train").tolist() == extents


def test_contract__one_color_per_class(module):
    assert len(module.palette) == module.num_classes == len(set(module.classes))


def test_contract__fingerprint_does_not_depend_on_the_folder(dataset_case, tmp_path):
    _, module_class, root = dataset_case
    shutil.copytree(root, tmp_path / "copy")
    assert module_class(str(root)).fingerprint() == module_class(str(tmp_path / "copy")).fingerprint()


def test_contract__fingerprint_and_cache_key_follow_a_changed_mask(dataset_case):
    kind, module_class, root = dataset_case
    before = module_class(str(root))
    shas, keys = before.fingerprint(), before.dataset("train").cache_key()
    path = root / MASKS[kind].format(name=before.dataset("train").name(0).rsplit("/", 1)[-1].removesuffix(".jpg"))
    with Image.open(path) as mask:
        turned = mask.transpose(Image.Transpose.ROTATE_180)
    turned.save(path)
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
