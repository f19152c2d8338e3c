from torch import nn

from lightseg.nets.unused import freeze_unused


class NoRule(nn.Module):
    """Has an operation that cannot be done without data."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        raise NotImplementedError


def test_freeze_unused__unsupported_operation_freezes_nothing():
    net = NoRule()
    freeze_unused(net, 3, 8, 8)
    # one that stayed in eval mode would be trained without the statistics of its batches, and without dropout
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
