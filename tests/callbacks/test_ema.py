import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lightseg.callbacks.ema import _Average


def trained(net, seed):
    """The net after something like a step."""
    torch.manual_seed(seed)
    with torch.no_grad():
        net(torch.randn(8, 2))
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))


@pytest.mark.parametrize("goes_on", [False, True])
def test_average__is_torchs(goes_on):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    ours, torchs = (
        kind(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True) for kind in (_Average, AveragedModel)
    )
    for step in range(4):
        trained(net, step)
        ours.update_parameters(net)
        torchs.update_parameters(net)
        if goes_on and step == 1:
            # as from a checkpoint
            state = copy.deepcopy(ours.state_dict())
            ours = _Average(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
            ours.load_state_dict(state)
    assert not torch.equal(ours.module[1].running_mean, net[1].running_mean)
    for (name, one), other in zip(ours.state_dict().items(), torchs.state_dict().values(), strict=True):
        assert torch.equal(one, other) or name.endswith("num_batches_tracked"), name
    assert ours.module[1].num_batches_tracked == 4


def test_average__of_indices_is_that_of_the_net():
    net = nn.Linear(2, 2)
    net.register_buffer("index", torch.arange(1000), persistent=False)
    average = _Average(net, multi_avg_fn=get_ema_multi_avg_fn(0.9999), use_buffers=True)
    for _ in range(3):
        average.update_parameters(net)
    assert torch.equal(average.module.index, net.index)
