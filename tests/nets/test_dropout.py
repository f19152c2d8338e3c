import pytest
import torch
from torch import nn

from lightseg.nets.dropout import ByteDropout


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.bf16)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_dropout__zeroes_its_share_and_scales_the_rest(dtype, layout, p):
    torch.manual_seed(0)
    images = torch.full((8, 3, 57, 41), 3.0, dtype=dtype).to(memory_format=layout)
    dropped = ByteDropout(p)(images)
    assert dropped.dtype == dtype
    assert dropped.stride() == images.stride()
    zeros = (dropped == 0).float()
    # five standard deviations of 56,088 draws
    assert float(zeros.mean()) == pytest.approx(p, abs=5 * (p * (1 - p) / zeros.numel()) ** 0.5)
    assert dropped[dropped != 0].unique().tolist() == [
        (images[0, 0, 0, 0] * torch.tensor(1 / (1 - p), dtype=dtype)).item()
    ]
    # neighbours in memory know nothing of each other
    flat = zeros.permute(0, 2, 3, 1).flatten() - p
    assert abs(float((flat[1:] * flat[:-1]).mean())) < 0.005


def test_dropout__gradient_of_nonzero_elements():
    torch.manual_seed(0)
    numbers = torch.ones(1000, requires_grad=True)
    dropped = ByteDropout(0.5)(numbers)
    dropped.sum().backward()
    assert torch.equal(numbers.grad, dropped)
    assert set(dropped.tolist()) == {0.0, 2.0}


def test_dropout__follows_the_seed_and_rests_in_evaluation():
    layer, numbers = ByteDropout(0.25), torch.randn(5, 13)
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws += [layer(numbers), layer(numbers)]
    assert torch.equal(draws[0], draws[2])
    assert torch.equal(draws[1], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert torch.equal(layer.eval()(numbers), numbers)


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_dropout__refuses_other_probabilities(p):
    with pytest.raises(ValueError, match="multiple of 1/256"):
        ByteDropout(p)


def test_dropout__is_a_torch_dropout():
    assert isinstance(ByteDropout(), nn.Dropout)
