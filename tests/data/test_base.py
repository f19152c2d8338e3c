import numpy as np
import pytest
import torch

from lightseg.data import Shapes
from lightseg.data.base import tally
from lightseg.data.batches import stack
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE


def test_tally__void_is_not_counted():
    counts = tally(np.array([[0, 0, 1], [IGNORE, 1, 1]], np.uint8), 3)
    assert counts.tolist() == [[2, 3, 0], [5, 5, 0]]


def test_batch_size__is_shared_evenly_or_refused():
    data = Shapes(batch_size=12)
    assert data.check_batch_size(2, 3) == 2
    with pytest.raises(ConfigError, match="12 samples cannot be shared by 8 .*; the nearest that can: 8 or 16"):
        data.check_batch_size(4, 2)
    with pytest.raises(ConfigError, match="the nearest that can: 16$"):
        data.check_batch_size(16, 1)


def test_train_loader__too_few_samples_for_a_batch():
    with pytest.raises(DataError, match="3 training samples do not fill one batch; set data.batch_size to 3"):
        Shapes(train_size=3, batch_size=4).check_training()


@pytest.mark.parametrize("workers", [0, 2])
def test_train_loader__pixels_do_not_depend_on_workers(workers):
    import albumentations as A

    def batches(count):
        data = Shapes(
            image_size=32, train_size=12, batch_size=4, num_workers=count, train_transforms=[A.D4(), A.GaussNoise()]
        )
        return [batch["image"].numpy().tobytes() for batch in data.train_dataloader()]

    assert batches(workers) == batches(1)


def test_stack__different_sizes_say_what_to_add():
    samples = [{"image": np.zeros((3, size, 8)), "target": np.zeros((size, 8)), "index": 0} for size in (8, 9)]
    with pytest.raises(DataError, match="end data.train_transforms with a RandomCrop"):
        stack(samples)


def test_stack__eight_bits_beside_more_are_brought_to_one_scale():
    samples = [
        {"image": torch.full((3, 2, 2), 255, dtype=torch.uint8), "target": torch.zeros(2, 2), "index": 0},
        {"image": torch.ones(3, 2, 2), "target": torch.zeros(2, 2), "index": 1},
    ]
    assert torch.equal(stack(samples)["image"], torch.ones(2, 3, 2, 2))
