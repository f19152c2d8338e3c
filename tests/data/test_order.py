import torch

from lightseg.data.order import PADDING, EpochSampler, ShardSampler, mix


def test_mix__neighbours_are_unrelated_and_stable():
    assert mix(0, 1, 2) == mix(0, 1, 2)
    assert len({mix(a, b) for a in range(30) for b in range(30)}) == 900
    assert 0 <= mix(1) < 2**63


def _stream(length, seed, epoch, world, batch_size=6):
    """The global stream: the ranks' shares put back together in order."""
    samplers = [EpochSampler(length, batch_size, seed, rank, world) for rank in range(world)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [position for together in zip(*samplers, strict=True) for position in together]


def test_epoch_sampler__one_stream_for_any_number_of_processes():
    whole = _stream(12, 3, 1, 1)
    assert _stream(12, 3, 1, 2) == whole
    assert _stream(12, 3, 1, 3) == whole
    assert sorted(position.sample for position in whole) == list(range(12))


def test_epoch_sampler__whole_batches_only():
    # a rest would be a step of its own under gradient accumulation, of fewer samples than the recipe says
    assert len(_stream(17, 0, 0, 1)) == len(_stream(17, 0, 0, 2)) == len(_stream(17, 0, 0, 3)) == 12


def test_epoch_sampler__depends_on_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = _stream(12, 0, 0, 1)
    torch.manual_seed(2)
    assert _stream(12, 0, 0, 1) == first
    assert _stream(12, 0, 1, 1) != first
    assert _stream(12, 1, 0, 1) != first


def test_epoch_sampler__every_position_has_its_own_seed():
    seeds = [position.seed for epoch in range(3) for position in _stream(20, 0, epoch, 1, 5)]
    assert len(set(seeds)) == 60


def test_shard_sampler__every_sample_once_and_padding_beside():
    for world in (1, 2, 3):
        shards = [[position.sample for position in ShardSampler(7, rank, world)] for rank in range(world)]
        assert len({len(shard) for shard in shards}) == 1
        assert sorted(sample for shard in shards for sample in shard if sample != PADDING) == list(range(7))
