"""Options of distributed strategies."""

import pytest
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from lightseg.distributed.strategies import FSDP
from lightseg.tasks.lightning_compat import enable_bucket_view


@pytest.mark.parametrize(("options", "expected"), [({}, True), ({"gradient_as_bucket_view": False}, False)])
def test_enable_bucket_view__keeps_the_option_of_the_recipe(options, expected):
    strategy = DDPStrategy(**options)
    enable_bucket_view(strategy)
    assert strategy._ddp_kwargs["gradient_as_bucket_view"] is expected


def test_enable_bucket_view__of_one_device_does_nothing():
    strategy = SingleDeviceStrategy("cpu")
    enable_bucket_view(strategy)
    assert not hasattr(strategy, "_ddp_kwargs")


def test_fsdp__writes_whole_checkpoints():
    strategy = FSDP(timeout_minutes=2)
    assert strategy._save_distributed_checkpoint is False
    assert strategy._timeout.total_seconds() == 120
