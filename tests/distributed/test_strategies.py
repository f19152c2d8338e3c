"""Options of distributed strategies."""

import pytest
from lightning.pytorch.strategies import StrategyRegistry

from lightseg.distributed.strategies import FSDP, enable_bucket_view
from tests.conftest import ROOT


def test_fsdp__writes_whole_checkpoints():
    strategy = FSDP(timeout_minutes=2)
    assert strategy._save_distributed_checkpoint is False
    assert strategy._timeout.total_seconds() == 120


@pytest.fixture
def registry():
    """Return the registry of Lightning, which is restored afterwards."""
    before = {name: {**entry, "init_params": {**entry["init_params"]}} for name, entry in StrategyRegistry.items()}
    yield StrategyRegistry
    StrategyRegistry.update(before)


def test_enable_bucket_view__of_ddp_by_every_name_and_of_nothing_else(registry):
    registry["ddp_find_unused_parameters_true"]["init_params"]["gradient_as_bucket_view"] = False
    enable_bucket_view()
    views = {name: entry["init_params"].get("gradient_as_bucket_view") for name, entry in registry.items()}
    assert (views["ddp"], views["ddp_find_unused_parameters_false"]) == (True, True)
    assert (views["ddp_find_unused_parameters_true"], views["single_device"]) == (False, None)
    assert registry.get("ddp")._ddp_kwargs == {"gradient_as_bucket_view": True}


@pytest.mark.slow
def test_fsdp__of_an_encoder_whose_feature_maps_are_used(launch, recipe):
    options = ["--model.net", "Segmenter", "--model.net.encoder", "test_vit", "--trainer.max_epochs", "1"]
    fsdp = ["--config", ROOT / "configs/hardware/fsdp.yaml", "--trainer.devices", "2"]
    process = launch("--config", recipe(), *options, *fsdp)
    assert process.wait(timeout=600) == 0, process.stderr.read()
