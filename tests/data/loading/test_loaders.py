import multiprocessing
import sys
from types import SimpleNamespace

import albumentations as A
import pytest
import torch

from lightseg.data import Shapes, ShapesClassification
from lightseg.data.loading import build
from lightseg.data.loading.loaders import describe_dead_worker, require_known_order
from lightseg.errors import ConfigError


def test_step_loader__counts_are_those_of_the_step():
    data = Shapes(image_size=16, train_size=8, batch_size=2, num_workers=0)
    loader = data.train_dataloader()
    alone = [batch["counts"] for batch in loader]
    loader.batches_per_step = 2
    together = [batch["counts"] for batch in loader]
    for index, counts in enumerate(together):
        first = index // 2 * 2
        assert counts.dtype == torch.int64
        assert (counts == alone[first] + alone[first + 1]).all()
    # every pixel is there, the void ones included
    assert sum(float(counts.sum()) for counts in alone) == 8 * 16 * 16


def two_epochs(monkeypatch, workers, persistent):
    """Index, image and mask of every sample of two epochs, in order."""
    data = Shapes(image_size=16, train_size=10, batch_size=2, num_workers=workers, train_transforms=[A.D4()])
    options = {**build.worker_options(workers, 1), "persistent_workers": persistent}
    with monkeypatch.context() as patch:
        patch.setattr(build, "worker_options", lambda *_: options)
        loader = data.train_dataloader()
    stream = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        stream += [(batch["index"].tolist(), batch["image"].tolist(), batch["target"].tolist()) for batch in loader]
    return stream


def test_stream__workers_may_stay_from_epoch_to_epoch_or_not(monkeypatch):
    reference = two_epochs(monkeypatch, 0, False)
    assert len(reference) == 10
    assert reference[:5] != reference[5:]
    assert two_epochs(monkeypatch, 2, True) == reference
    assert two_epochs(monkeypatch, 2, False) == reference


def mixed_stream(workers, processes):
    """Images, classes and shares of the mixtures of an epoch in their global order."""
    streams = []
    for rank in range(processes):
        data = ShapesClassification(
            image_size=16,
            train_size=12,
            batch_size=4,
            num_workers=workers,
            mixup=0.4,
            cutmix=1.0,
            train_transforms=[A.D4()],
        )
        data.trainer = SimpleNamespace(global_rank=rank, world_size=processes, accumulate_grad_batches=1)
        streams.append(list(data.train_dataloader()))
    steps, keys = list(zip(*streams, strict=True)), ("image", "target", "partner", "share")
    # rank r of w has positions r, r + w, … of each global batch
    shares = {key: [torch.stack([batch[key] for batch in step], 1) for step in steps] for key in keys}
    return {key: torch.cat(values).flatten(0, 1) for key, values in shares.items()}


def test_stream__of_mixtures_depends_neither_on_workers_nor_on_processes():
    reference = mixed_stream(0, 1)
    assert len(reference["share"].unique()) == 6
    for workers, processes in ((2, 1), (0, 2), (2, 2)):
        stream = mixed_stream(workers, processes)
        assert all(torch.equal(stream[key], values) for key, values in reference.items())


def test_stream__a_pair_is_mixed_of_the_images_that_a_batch_has_without():
    options = {"image_size": 16, "train_size": 4, "batch_size": 4, "num_workers": 0, "train_transforms": [A.D4()]}
    (plain,), (mixed,) = (list(ShapesClassification(**options, mixup=alpha).train_dataloader()) for alpha in (0.0, 1.0))
    share = mixed["share"][:, None, None, None]
    expected = share * plain["image"] + (1 - share) * plain["image"].flip(0)
    assert torch.equal(mixed["image"], expected.round().to(torch.uint8))
    assert torch.equal(mixed["partner"], plain["target"].flip(0))
    assert torch.equal(mixed["target"], plain["target"])
    assert torch.equal(mixed["counts"], plain["counts"])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere loading processes are spawned")
def test_stream__loading_processes_are_forked_where_python_would_not():
    class Local(A.D4):
        """Cannot be pickled, and so not sent to a process that is not forked."""

    default = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        data = Shapes(image_size=16, train_size=4, batch_size=2, num_workers=1, train_transforms=[Local()])
        assert sorted(torch.cat([batch["index"] for batch in data.train_dataloader()]).tolist()) == [0, 1, 2, 3]
    finally:
        multiprocessing.set_start_method(default, force=True)


def test_require_known_order__refuses_another_sampler(fit, recipe, own_module):
    own_module("shuffled", SHUFFLED)
    outcome = fit("--config", recipe(), "--data", "shuffled.Shuffled")
    assert outcome.code == 2
    assert "Shuffled.train_dataloader: the order of a RandomSampler can neither" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


SHUFFLED = """
from torch.utils.data import DataLoader
from lightseg.data import Shapes, loading

class Shuffled(Shapes):
    def train_dataloader(self):
        return DataLoader(super().train_dataloader().dataset, 4, shuffle=True)
"""


def test_require_known_order__accepts_an_epoch_sampler_only():
    require_known_order(Shapes(train_size=8, num_workers=0).train_dataloader(), "Shapes")
    with pytest.raises(ConfigError, match="the order of a NoneType can neither"):
        require_known_order([], "List")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", "died (signal: Killed) while it was at train-3."),
        ("DataLoader worker (pid(s) 7, 8) exited unexpectedly", "died while it was at train-3."),
        ("DataLoader worker (pid 9) is killed by signal: Bus error. It is", "while it was at no file yet."),
    ],
)
def test_describe_dead_worker__names_the_file(error, message):
    data = Shapes(train_size=8, num_workers=2)
    data.train_dataloader()
    data.watched[0].at[1, 0], data.watched[0].at[1, 1] = 7, 3
    assert message in describe_dead_worker(RuntimeError(error), data.watched)


def test_describe_dead_worker__none_for_another_error():
    assert describe_dead_worker(RuntimeError("out of memory"), []) is None
