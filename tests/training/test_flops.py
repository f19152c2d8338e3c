import pytest
import torch
from torch import nn

from lightseg.tasks import SegmentationTask
from lightseg.training.flops import measure_cost


def test_cost__of_one_convolution_by_hand():
    net = nn.Conv2d(3, 2, 3, padding=1)
    task = SegmentationTask(net, ["a", "b"], mean=[0.5] * 3, std=[0.2] * 3)
    cost = measure_cost(task, {"image": torch.zeros(1, 3, 8, 10, dtype=torch.uint8)})
    # 8 × 10 pixels, 2 outputs of 3 × 9 products each, which are also added up
    assert cost == {"parameters": 2 * 27 + 2, "gflops": 80 * 2 * 27 * 2 / 1e9, "input": [3, 8, 10], "dtype": "uint8"}
    assert task.training


def test_cost__of_a_compiled_net_is_the_same():
    net = nn.Conv2d(3, 2, 1)
    batch = {"image": torch.zeros(1, 3, 4, 4, dtype=torch.uint8)}
    plain, compiled = (
        SegmentationTask(net, ["a", "b"], mean=[0.5] * 3, std=[0.2] * 3, compile=on) for on in (False, True)
    )
    assert measure_cost(plain, batch) == measure_cost(compiled, batch)


class Attention(nn.Module):
    """Attention between the pixels, and a class for each."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, images):
        pixels = images[:, [0, 1, 2, 0]].flatten(2).transpose(1, 2)
        return self.attention(pixels, pixels, pixels)[0].transpose(1, 2).unflatten(2, images.shape[2:])


def test_cost__attention_counts():
    task = SegmentationTask(Attention(), list("abcd"), mean=[0.5] * 3, std=[0.2] * 3)
    cost = measure_cost(task, {"image": torch.zeros(1, 3, 5, 7, dtype=torch.uint8)})
    # 35 pixels: queries, keys, values and the result are 4 × 4 products each; scores and their use 35 × 4
    assert cost["gflops"] == pytest.approx(2 * (4 * 35 * 4 * 4 + 2 * 35 * 35 * 4) / 1e9)
    assert torch.backends.mha.get_fastpath_enabled()
