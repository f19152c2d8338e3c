import pytest
import torch

from lightseg.data.sample_index import mix
from lightseg.data.transforms.counter_rng import Draws, below, splitmix

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def reference(seed, number):
    """SplitMix64 as published, in Python integers."""
    bits = (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
    return bits ^ bits >> 31


@pytest.mark.parametrize("device", DEVICES)
def test_splitmix__gives_the_published_numbers(device):
    # of the seed that the generator is commonly tried with
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    numbers = splitmix(torch.tensor(1234567, device=device), torch.arange(4, device=device))
    assert [number % 2**64 for number in numbers.tolist()] == published


@pytest.mark.parametrize("device", DEVICES)
def test_splitmix__any_seed_and_number(device):
    seeds, numbers = [0, 1, -1, 2**63 - 1, -(2**63)], [0, 1, 7, 10**6, 2**40]
    expected = [[reference(seed, number) for number in numbers] for seed in seeds]
    states = torch.tensor(seeds, device=device)
    together = splitmix(states[:, None], torch.tensor(numbers, device=device))
    alone = torch.stack([splitmix(states, number) for number in numbers], 1)
    for outputs in (together, alone):
        assert [[number % 2**64 for number in row] for row in outputs.tolist()] == expected


@pytest.mark.parametrize("device", DEVICES)
def test_below__is_the_upper_half_scaled(device):
    states = torch.arange(1000, device=device)
    for limit in (1, 2, 5, 2**31):
        expected = [(reference(state, 3) >> 32) * limit >> 32 for state in range(1000)]
        assert below(states, limit, 3).tolist() == expected
        assert 0 <= min(expected) <= max(expected) < limit


def test_draws__do_not_depend_on_the_batch():
    positions, samples = torch.arange(10), torch.randperm(10)
    batch = Draws.of(5, 2, positions, samples).branch(1)
    for index in range(10):
        single = Draws.of(5, 2, positions[index : index + 1], samples[index : index + 1]).branch(1)
        assert single.positions.tolist() == batch.positions[index : index + 1].tolist()
        assert single.samples.tolist() == batch.samples[index : index + 1].tolist()


def test_draws__by_hand():
    draws = Draws.of(5, 2, torch.tensor([7]), torch.tensor([3]))
    assert draws.positions.item() % 2**64 == reference(mix(5, 2, 11), 7)
    assert draws.samples.item() % 2**64 == reference(mix(5, 12), 3)
    assert draws.branch(4).positions.item() % 2**64 == reference(reference(mix(5, 2, 11), 7), 4)


def test_draws__depend_on_seed_epoch_position_and_sample():
    def drawn(seed=0, epoch=0, positions=(0, 1, 2, 3), samples=(6, 7, 8, 9), branch=0):
        draws = Draws.of(seed, epoch, torch.tensor(positions), torch.tensor(samples)).branch(branch)
        return draws.positions.tolist(), draws.samples.tolist()

    first = drawn()
    assert len(set(first[0] + first[1])) == 8
    for change in ({"seed": 1}, {"branch": 1}):
        second = drawn(**change)
        assert not {*first[0], *first[1]} & {*second[0], *second[1]}
    assert drawn(epoch=1)[1] == drawn(positions=(4, 5, 6, 7))[1] == first[1]
    assert not set(drawn(epoch=1)[0] + drawn(positions=(4, 5, 6, 7))[0]) & set(first[0])
    assert drawn(samples=(1, 2, 3, 4))[0] == first[0]
