"""Pixel losses of a batch that is split into parts."""

import pytest
import torch

from lightseg.labels import IGNORE
from lightseg.losses.weighted_sum import build_loss

LOGITS = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
TARGET = torch.randint(0, 3, (4, 5, 5), generator=torch.Generator().manual_seed(1))
# batches of unequal numbers of valid pixels and of other classes
TARGET[:2, :4] = IGNORE
TARGET[3][TARGET[3] == 2] = 0
WEIGHT = torch.tensor([0.5, 1.0, 4.0])


def in_parts(loss, parts):
    """The mean of the losses of equal parts of the batch, each told what the whole holds."""
    valid = TARGET[TARGET != IGNORE]
    counts = torch.bincount(valid, minlength=3).float() / parts
    return torch.stack(
        [loss(*part, counts) for part in zip(LOGITS.chunk(parts), TARGET.chunk(parts), strict=True)]
    ).mean()


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", ["ce", "focal", "sigmoid_focal", "mse"])
def test_pixel_loss__is_the_same_in_parts(name, weight, parts):
    loss = build_loss({name: 1.0}, weight)
    torch.testing.assert_close(in_parts(loss, parts), loss(LOGITS, TARGET))
    # without being told it is another one
    alone = torch.stack([loss(LOGITS[:2], TARGET[:2]), loss(LOGITS[2:], TARGET[2:])]).mean()
    assert abs(float(alone - loss(LOGITS, TARGET))) > 1e-3


def test_pixel_loss__of_a_part_without_a_valid_pixel():
    loss = build_loss({"ce": 1.0}, None)
    void = torch.full_like(TARGET, IGNORE)
    assert float(loss(LOGITS, void, torch.tensor([3.0, 2.0, 1.0]))) == 0
    assert float(loss(LOGITS, void, torch.zeros(3))) == 0
