"""Limits and samples of the parity check."""

import math

import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.exporting.parity import ODD, Parity, odd_samples, random_samples, require_bytes


def _parity(difference=0.0, agreement=1.0, score=0.5, exported_score=0.5):
    return Parity(2, 1, 100, difference, agreement, score, exported_score)


@pytest.mark.parametrize(
    ("parity", "expected"),
    [
        (_parity(difference=1e-3), True),
        (_parity(difference=2e-3), False),
        (_parity(difference=math.nan), False),
        (_parity(agreement=0.9998), False),
        (_parity(exported_score=0.4998), False),
        (_parity(exported_score=math.nan), False),
        (_parity(score=None, exported_score=None), True),
    ],
)
def test_holds__within_all_limits(parity, expected):
    assert parity.holds(1e-3) is expected


def test_str__says_in_which_precision_the_score_is():
    # that of a run may be another
    assert str(_parity(exported_score=0.4)).endswith("agree, float32 score 0.5000 → 0.4000 (loss 1.0e-01)")


def test_loss__is_the_drop_of_the_score():
    assert _parity(score=0.75, exported_score=0.5).loss == 0.25
    assert _parity(score=None, exported_score=None).record()["loss"] == 0


def test_odd_samples__have_an_odd_size_in_batches_of_3_and_1():
    large, small = random_samples(1, 3, (64, 80)), random_samples(1, 3, (8, 8))
    (three, _), (one, _) = odd_samples([*large, *small])
    assert (three.shape, one.shape) == ((3, 3, *ODD), (1, 3, *ODD))
    assert torch.equal(three[0], large[0][0][0, :, : ODD[0], : ODD[1]])
    assert torch.equal(three[1], three[0].flip(-1))


@pytest.mark.parametrize("dtype", [None, "uint16"])
def test_require_bytes__refuses_other_types(dtype):
    require_bytes("uint8")
    with pytest.raises(ConfigError):
        require_bytes(dtype)
