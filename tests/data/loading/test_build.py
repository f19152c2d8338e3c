"""Loaders of a process's share of a split."""

from types import SimpleNamespace

import numpy as np
import pytest

from lightseg.data.loading.build import (
    DistributedInfo,
    evaluation_loader,
    per_process_batch_size,
    training_loader,
    worker_options,
)
from lightseg.data.loading.collate import TransformedDataset
from lightseg.data.transforms.augmentation import Augmentation
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.errors import ConfigError
from tests.data.in_memory import InMemoryDataset

DATASET = InMemoryDataset(*((np.full((2, 2, 3), number, np.uint8), np.zeros((2, 2), np.uint8)) for number in range(10)))
TRAINED = TransformedDataset(DATASET, Augmentation("segmentation", []))
EVALUATED = TransformedDataset(DATASET, EvalTransform([]))


@pytest.mark.parametrize(
    ("batch_size", "parts", "message"),
    [(10, 4, "nearest that can: 8 or 12$"), (3, 4, "nearest that can: 4$"), (7, 2, "7 samples cannot be shared by 2 ")],
)
def test_batch_size__is_shared_evenly_or_refused(batch_size, parts, message):
    assert per_process_batch_size(parts * 3, parts) == 3
    with pytest.raises(ConfigError, match=message):
        per_process_batch_size(batch_size, parts)


def test_info__of_a_trainer_or_of_one_process():
    assert DistributedInfo.of(None) == (0, 1, 1)
    trainer = SimpleNamespace(global_rank=2, world_size=4, accumulate_grad_batches=3)
    assert DistributedInfo.of(trainer) == (2, 4, 3)


def _trained(info, weights=None):
    loader = training_loader(TRAINED, 4, 0, weights, info, 0)
    return [batch["index"].tolist() for batch in loader]


def test_training_loader__processes_and_batches_share_the_steps_of_one():
    steps = _trained(DistributedInfo())
    assert [len(step) for step in steps] == [4, 4]
    assert len({*steps[0], *steps[1]}) == 8
    shares = [_trained(DistributedInfo(rank, 2)) for rank in (0, 1)]
    assert [sorted(first + second) for first, second in zip(*shares, strict=True)] == [sorted(step) for step in steps]
    batches = _trained(DistributedInfo(accumulate=2))
    assert [len(batch) for batch in batches] == [2] * 4
    assert sorted(batches[0] + batches[1]) == sorted(steps[0])


def test_training_loader__weights_choose_the_samples():
    weights = np.zeros(10)
    weights[3] = 1
    assert _trained(DistributedInfo(), weights) == [[3] * 4] * 2


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_evaluation_loader__every_sample_once_over_all_processes(processes):
    indices = []
    for rank in range(processes):
        loader = evaluation_loader(EVALUATED, 4, DistributedInfo(rank, processes), 0)
        for batches in loader:
            for batch in batches:
                assert len(batch["index"]) <= max(1, 4 // processes)
                assert batch["image"][:, 0, 0, 0].tolist() == batch["index"].tolist()
                indices += batch["index"].tolist()
    assert sorted(indices) == list(range(10))


def test_worker_options__processes_persist_where_there_are_any():
    assert worker_options(0, 1)["persistent_workers"] is False
    options = worker_options(2, 1)
    assert (options["num_workers"], options["persistent_workers"]) == (2, True)
