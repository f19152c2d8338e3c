"""Augmented training samples and their contact sheet."""

import numpy as np
import torch
from PIL import Image

from lightseg.data import Shapes, ShapesClassification
from lightseg.diagnosis.contact_sheet import draw_samples, joined, objects_of, write_sheet
from lightseg.labels import IGNORE


def _batch(target):
    target = torch.tensor([target])
    return {"image": torch.zeros(1, 3, *target.shape[1:]), "target": target, "index": torch.zeros(1, dtype=torch.int64)}


def test_draw_samples__are_spread_over_the_split_and_joined():
    data = Shapes(image_size=32, train_size=9, val_size=1, num_workers=0)
    samples = draw_samples(data, 3)
    assert [sample["index"].tolist() for sample in samples] == [[0], [4], [8]]
    batch = joined(samples)
    assert batch["image"].shape == (3, 3, 32, 32)
    assert batch["index"].tolist() == [0, 4, 8]
    assert int(batch["counts"].sum()) == 3 * 32 * 32


def test_objects_of__sizes_of_components_by_class():
    mask = [[1, 0, 1], [1, 0, 0], [IGNORE, 2, 2]]
    objects = objects_of(_batch(mask), 3)
    assert {label: sorted(sizes.tolist()) for label, sizes in objects.items()} == {0: [3], 1: [1, 2], 2: [2]}


def test_write_sheet__of_masks_and_of_class_ids(tmp_path):
    sizes = {"train_size": 5, "val_size": 1, "num_workers": 0}
    for data in (Shapes(image_size=32, **sizes), ShapesClassification(**sizes)):
        write_sheet(draw_samples(data, 5), data, tmp_path / f"{data.kind}.png")
        with Image.open(tmp_path / f"{data.kind}.png") as sheet:
            pixels = np.array(sheet.convert("RGB"))
        # with masks, every image is there twice, and a legend below
        assert pixels.shape[1] == {"segmentation": 1408, "classification": 704}[data.kind]
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classification.png", "segmentation.png"]
