import numpy as np
import pytest
import torch

from lightseg.data.loading.samplers import EpochSampler, ShardSampler, systematic_draw
from lightseg.data.sample_index import PADDING, SampleIndex, mix
from lightseg.data.transforms.mixing import Mixing

WEIGHTS = np.random.default_rng(0).random(30) ** 3 * (np.arange(30) != 7)


def test_mix__neighbours_are_unrelated_and_stable():
    assert mix(0, 1, 2) == mix(0, 1, 2)
    assert len({mix(a, b) for a in range(30) for b in range(30)}) == 900
    assert 0 <= mix(1) < 2**63
    # seeds of seeds are not cut off
    assert mix(2**32 + 7, 4) != mix(7, 4)


def _samplers(length, seed, epoch, world, batch_size=6, weights=None, mixing=None):
    samplers = [EpochSampler(length, batch_size, seed, rank, world, weights, mixing) for rank in range(world)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return samplers


def _merged(samplers):
    """Global order, merged from the shares of the ranks."""
    return [position for together in zip(*samplers, strict=True) for position in together]


def _stream(*args, **options):
    return _merged(_samplers(*args, **options))


def test_epoch_sampler__one_stream_for_any_number_of_processes():
    stream = _stream(12, 3, 1, 1)
    assert _stream(12, 3, 1, 2) == stream
    assert _stream(12, 3, 1, 3) == stream
    assert sorted(position.sample for position in stream) == list(range(12))


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


def test_epoch_sampler__every_position_has_a_different_seed():
    seeds = [position.seed for epoch in range(3) for position in _stream(20, 0, epoch, 1, 5)]
    assert len(set(seeds)) == 60


def test_epoch_sampler__weighted_draws_are_one_stream_for_any_number_of_processes():
    stream = _stream(30, 3, 1, 1, weights=WEIGHTS)
    assert len(stream) == 30
    assert _stream(30, 3, 1, 2, weights=WEIGHTS) == stream
    assert _stream(30, 3, 1, 3, weights=WEIGHTS) == stream
    assert _stream(30, 3, 2, 1, weights=WEIGHTS) != stream
    assert _stream(30, 4, 1, 1, weights=WEIGHTS) != stream


def test_epoch_sampler__weights_leave_the_seeds_alone():
    # so that the augmentation at a position does not depend on how samples are drawn
    plain, weighted = _stream(30, 0, 0, 1), _stream(30, 0, 0, 1, weights=WEIGHTS)
    assert [position.seed for position in plain] == [position.seed for position in weighted]


def test_epoch_sampler__expected_numbers_are_those_of_the_batches_that_are_trained_on():
    # 17 samples fill two batches of six, and each is expected 12/17 times: drawn once or not at all
    samples = [position.sample for position in _stream(17, 0, 0, 1, weights=np.ones(17))]
    assert len(samples) == len(set(samples)) == 12


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["permutation", "weighted"])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_epoch_sampler__start_gives_the_rest_of_the_epoch_once(world, weights):
    stream = _stream(30, 0, 2, 1, weights=weights)
    for start in (6, 24, 30):
        samplers = _samplers(30, 0, 2, world, weights=weights)
        for sampler in samplers:
            sampler.start = start
        assert {len(sampler) for sampler in samplers} == {30 // world}
        assert _merged(samplers) == stream[start:]
        assert _merged(samplers) == stream


MIXING = Mixing(0.2, 1.0)


def test_epoch_sampler__pairs_are_those_of_a_global_batch_for_any_number_of_processes():
    stream = _stream(30, 3, 1, 1, mixing=MIXING)
    assert _stream(30, 3, 1, 2, mixing=MIXING) == _stream(30, 3, 1, 3, mixing=MIXING) == stream
    plain = _stream(30, 3, 1, 1)
    for start in range(0, 30, 6):
        batch = stream[start : start + 6]
        # each is mixed with the one at the mirrored position, as that is without mixtures, and both by the same share
        assert [index.partner for index in batch] == plain[start : start + 6][::-1]
        assert [index.mixture for index in batch] == [index.mixture for index in batch[::-1]]
        assert len({index.mixture for index in batch}) == 3
    assert [(index.sample, index.seed) for index in stream] == [(index.sample, index.seed) for index in plain]


def test_epoch_sampler__mixtures_differ_from_epoch_to_epoch_and_resume():
    (sampler,), rest = _samplers(12, 3, 1, 1, mixing=MIXING), _samplers(12, 3, 1, 1, mixing=MIXING)[0]
    stream, rest.start = list(sampler), 6
    assert list(rest) == stream[6:]
    sampler.set_epoch(2)
    assert {index.mixture for index in sampler}.isdisjoint({index.mixture for index in stream})


def test_epoch_sampler__start_between_the_processes_is_refused():
    sampler = EpochSampler(30, 6, world_size=3)
    sampler.start = 4
    with pytest.raises(ValueError, match="start: 4 samples are not complete global batches of 3 processes"):
        list(sampler)


def test_systematic_draw__each_sample_the_floor_or_the_ceiling_of_its_expected_number():
    for seed in range(50):
        samples = systematic_draw(WEIGHTS, 100, np.random.default_rng(seed))
        times, expected = np.bincount(samples, minlength=30), 100 * WEIGHTS / WEIGHTS.sum()
        assert len(samples) == 100
        assert ((times == np.floor(expected)) | (times == np.ceil(expected))).all()


def test_systematic_draw__is_in_proportion_over_many_epochs():
    draws = [systematic_draw(WEIGHTS, 10, np.random.default_rng(seed)) for seed in range(2000)]
    shares = np.bincount(np.concatenate(draws), minlength=30) / 20000
    assert shares == pytest.approx(WEIGHTS / WEIGHTS.sum(), abs=0.005)
    # and in random order: the first of an epoch is any of them
    first = np.bincount([draw[0] for draw in draws], minlength=30) / 2000
    assert first == pytest.approx(WEIGHTS / WEIGHTS.sum(), abs=0.03)


def test_systematic_draw__equal_weights_give_a_permutation():
    assert sorted(systematic_draw(np.ones(20), 20, np.random.default_rng(0))) == list(range(20))


def test_systematic_draw__a_tick_that_rounds_up_to_the_end_is_the_last_sample():
    class Latest:
        def random(self):
            return np.nextafter(1, 0)

        def permutation(self, values):
            return values

    # the ticks are 2/3, 4/3 and 2
    assert systematic_draw(np.ones(2), 3, Latest()).tolist() == [0, 1, 1]


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_shard_sampler__batches_do_not_depend_on_the_number_of_processes(batch, world):
    expected = [list(range(start, min(start + batch, 7))) for start in range(0, 7, batch)]
    shards = []
    for rank in range(world):
        sampler = ShardSampler(7, batch, rank, world)
        samples = [position.sample for position in sampler]
        assert len(samples) == len(sampler)
        shards.append([samples[start : start + batch] for start in range(0, len(samples), batch)])
    # all ranks have as many, and take turns
    dealt = [batch for turn in zip(*shards, strict=True) for batch in turn]
    assert [indices for batch in dealt if (indices := [sample for sample in batch if sample != PADDING])] == expected


COUNT = 20_000


def test_order__is_an_array_and_gives_plain_numbers():
    sampler = EpochSampler(COUNT, 8)
    assert isinstance(sampler._order(), np.ndarray)
    position = next(iter(sampler))
    assert type(position) is SampleIndex
    assert type(position.sample) is int
