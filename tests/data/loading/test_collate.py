import random
import subprocess
import sys

import albumentations as A
import numpy as np
import pytest
import torch

from lightseg.data import Shapes
from lightseg.data.loading.collate import TransformedDataset, check_repeatable, stack, stack_by_size, stack_training
from lightseg.data.sample_index import SampleIndex, mix
from lightseg.data.transforms.augmentation import Augmentation
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE

DATASET = Shapes(image_size=32, train_size=4).dataset("train")


class Add(A.ImageOnlyTransform):
    """Custom transform that adds a random number, drawn by a function, to the image."""

    def __init__(self, draw, p=1.0):
        super().__init__(p=p)
        self.draw = draw

    def apply(self, img, **params):
        return img + np.uint8(self.draw() * 255)


GLOBAL = {"random": random.random, "numpy": np.random.random, "torch": lambda: torch.rand(()).item()}
OWN = {"random": random.Random(0).random, "numpy": np.random.default_rng(0).random}


def _prepared(*transforms):
    return TransformedDataset(DATASET, Augmentation("segmentation", transforms))


@pytest.mark.parametrize("source", GLOBAL)
def test_transformed_dataset__seeds_global_generators(source):
    prepared = _prepared(Add(GLOBAL[source]))
    check_repeatable(prepared)
    images = [prepared[SampleIndex(0, seed)]["image"] for seed in (1, 2, 1)]
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("source", GLOBAL)
def test_transformed_dataset__restores_global_generators(source):
    draw = GLOBAL[source]
    generators = (random.seed, np.random.seed, torch.manual_seed)
    for seed in generators:
        seed(0)
    expected = [draw(), draw()]
    for seed in generators:
        seed(0)
    first = draw()
    _prepared(Add(draw))[SampleIndex(0, 1)]
    assert [first, draw()] == expected


def _second():
    """Choice by the second random number, since albumentations draws one before its first transform."""
    random.random()
    return 0.5 if random.random() < 0.5 else 0


def test_prepared__global_and_albumentations_draws_are_not_the_same():
    prepared = _prepared(A.HorizontalFlip(p=0.5), Add(_second))
    plain = torch.from_numpy(DATASET[0][0]).permute(2, 0, 1)
    counts = np.zeros((2, 2), int)
    for trial in range(400):
        image = prepared[SampleIndex(0, mix(trial))]["image"]
        added = not (torch.equal(image, plain) or torch.equal(image, plain.flip(2)))
        mirrored = torch.equal(image - 127 * added, plain.flip(2))
        counts[int(added), int(mirrored)] += 1
    assert counts.min() > 60


def test_prepared__evaluation_leaves_the_generators_alone():
    random.seed(0)
    expected = [random.random(), random.random()]
    random.seed(0)
    prepared = TransformedDataset(DATASET, EvalTransform([Add(random.random)]))
    same = prepared[SampleIndex(0, 0)]["image"], prepared[SampleIndex(0, 0)]["image"]
    assert not torch.equal(*same)
    random.seed(0)
    assert [random.random(), random.random()] == expected


@pytest.mark.parametrize("source", OWN)
@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_check_repeatable__detects_separate_generators(source, probability):
    with pytest.raises(ConfigError, match=r"^data.train_transforms: train-\d differs when augmented again .* torch$"):
        check_repeatable(_prepared(Add(OWN[source], probability)))


def test_check_repeatable__compares_masks_too():
    class Forget(A.DualTransform):
        forgotten = 0

        def apply(self, img, **params):
            return img

        def apply_to_mask(self, mask, **params):
            self.forgotten += 1
            return np.full_like(mask, self.forgotten)

    with pytest.raises(ConfigError, match="differs when augmented again"):
        check_repeatable(_prepared(Forget(p=1)))


def test_check_repeatable__single_sample():
    dataset = Shapes(image_size=32, train_size=1).dataset("train")
    check_repeatable(TransformedDataset(dataset, Augmentation("segmentation", [A.D4(), A.GaussNoise()])))


def _sample(target):
    target = torch.tensor(target)
    return {"image": torch.zeros(3, *target.shape), "target": target, "index": 0}


def test_stack_training__counts_by_hand():
    counts = stack_training([_sample([[0, 2], [2, IGNORE]]), _sample([[2, 254], [IGNORE, IGNORE]])])["counts"]
    assert counts.dtype == torch.int64
    assert counts.shape == (256,)
    assert {value: int(n) for value, n in enumerate(counts) if n} == {0: 1, 2: 3, 254: 1, 255: 3}


def test_stack_training__counts_of_class_ids():
    samples = [{"image": torch.zeros(3, 2, 2), "target": torch.tensor(label), "index": 0} for label in (3, 0, 3)]
    assert stack_training(samples)["counts"][:5].tolist() == [1, 0, 0, 2, 0]


@pytest.mark.parametrize("workers", [0, 1])
def test_loaders__batches_are_the_same_with_loading_processes(workers):
    data = Shapes(image_size=32, train_size=4, val_size=2, batch_size=2, num_workers=workers)
    trained, evaluated = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))[0]
    for batch, samples in ((trained, data.dataset("train")), (evaluated, data.dataset("val"))):
        images, masks = zip(*(samples[index] for index in batch["index"].tolist()), strict=True)
        assert batch["image"].dtype == torch.uint8
        assert batch["target"].dtype == batch["index"].dtype == torch.int64
        assert np.array_equal(batch["image"].permute(0, 2, 3, 1), images)
        assert np.array_equal(batch["target"], masks)
        # who keeps these keeps no images with them
        assert batch["index"].untyped_storage().nbytes() == batch["index"].nbytes
    assert trained["counts"].tolist() == np.bincount(trained["target"].flatten(), minlength=256).tolist()


def test_stack_by_size__evaluation_has_no_counts():
    assert set(stack_by_size([_sample([[0, 1]])])[0]) == {"image", "target", "index"}


WORKER = """
import gc, sys
from lightseg.data.loading.collate import start_worker

start_worker(0)
sys.exit(0 if gc.get_freeze_count() > 1000 else 3)
"""


@pytest.mark.slow
def test_worker__does_not_search_what_it_shares_for_garbage():
    assert subprocess.run([sys.executable, "-c", WORKER], check=False).returncode == 0


def test_stack__different_sizes_are_an_error_with_advice():
    samples = [{"image": np.zeros((3, size, 8)), "target": np.zeros((size, 8)), "index": 0} for size in (8, 9)]
    with pytest.raises(DataError, match="end data.train_transforms with a RandomCrop"):
        stack(samples)


def test_stack__8_bit_and_float_images_have_one_scale():
    samples = [
        {"image": torch.full((3, 2, 2), 255, dtype=torch.uint8), "target": torch.zeros(2, 2), "index": 0},
        {"image": torch.ones(3, 2, 2), "target": torch.zeros(2, 2), "index": 1},
    ]
    assert torch.equal(stack(samples)["image"], torch.ones(2, 3, 2, 2))
