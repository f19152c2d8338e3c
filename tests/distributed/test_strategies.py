"""Options of distributed strategies."""

import pytest

from lightseg.distributed.strategies import FSDP
from tests.conftest import ROOT


def test_fsdp__writes_whole_checkpoints():
    strategy = FSDP(timeout_minutes=2)
    assert strategy._save_distributed_checkpoint is False
    assert strategy._timeout.total_seconds() == 120


@pytest.mark.slow
def test_fsdp__of_an_encoder_whose_feature_maps_are_used(launch, recipe):
    options = ["--model.net", "Segmenter", "--model.net.encoder", "test_vit", "--trainer.max_epochs", "1"]
    fsdp = ["--config", ROOT / "configs/hardware/fsdp.yaml", "--trainer.devices", "2"]
    process = launch("--config", recipe(), *options, *fsdp)
    assert process.wait(timeout=600) == 0, process.stderr.read()
