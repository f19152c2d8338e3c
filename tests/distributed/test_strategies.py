"""Options of distributed strategies."""

from lightseg.distributed.strategies import FSDP


def test_fsdp__writes_whole_checkpoints():
    strategy = FSDP(timeout_minutes=2)
    assert strategy._save_distributed_checkpoint is False
    assert strategy._timeout.total_seconds() == 120
