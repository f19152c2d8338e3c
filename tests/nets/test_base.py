"""Base class of the nets."""

import pytest
from torch import nn

from lightseg.nets.base import Net, first_line


def test_net__has_the_attributes_that_a_task_reads():
    net = Net()
    assert (net.stride, net.encoder, net.normalization) == (1, None, None)
    net.start_from(iter(()))


def test_net__a_module_may_take_the_place_of_an_attribute():
    class WithEncoder(Net):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(1, 1)

    assert [name for name, _ in WithEncoder().named_parameters()] == ["encoder.weight", "encoder.bias"]


@pytest.mark.parametrize(
    ("error", "line"), [(ValueError("\n first\nsecond"), "first"), (AssertionError(), "AssertionError")]
)
def test_first_line__of_a_message_or_the_type(error, line):
    assert first_line(error) == line
