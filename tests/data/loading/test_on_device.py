from itertools import pairwise

import albumentations as A
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightseg.data import ImageDataModule, Shapes, ShapesClassification, ShapesMultilabel
from lightseg.data.device_transforms import AlternatingFlip, Cutout, DeviceTransform, RandomFlip, RandomTranslate
from lightseg.data.loading import on_device as on_device_module
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from tests.data.in_memory import MaskOnlyDataset
from tests.helpers.stateful_run import STATEFUL_RECIPE, assert_same_run

OPTIONS = {"image_size": 16, "train_size": 27, "val_size": 7, "test_size": 5, "batch_size": 6, "num_workers": 0}
TRANSFORMS = [AlternatingFlip(), RandomFlip(), RandomTranslate(3, "zero")]


class Sharing:
    """As much of a trainer as loaders ask for."""

    def __init__(self, rank=0, world_size=1, accumulate=1):
        self.global_rank, self.world_size, self.accumulate_grad_batches = rank, world_size, accumulate
        self.strategy, self.lightning_module = self, None
        self.root_device = torch.device("cpu")


def loader(cls=Shapes, rank=0, world_size=1, accumulate=1, epoch=0, start=0, **options):
    data = cls(**{**OPTIONS, **options})
    data.trainer = Sharing(rank, world_size, accumulate)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    loader.sampler.start = start
    return loader


def assert_equal(ours, reference):
    assert len(ours) == len(reference) > 0
    for batch, expected in zip(ours, reference, strict=True):
        assert list(batch) == list(expected)
        for name in batch:
            assert batch[name].dtype == expected[name].dtype
            assert torch.equal(batch[name], expected[name])


@pytest.mark.parametrize("cls", [Shapes, ShapesClassification, ShapesMultilabel])
@pytest.mark.parametrize(
    "options",
    [{}, {"epoch": 3}, {"rank": 1, "world_size": 3}, {"accumulate": 3}, {"start": 12}, {"sampling": "class_balanced"}],
    ids=str,
)
def test_stream__is_that_of_the_ordinary_loader(cls, options):
    assert_equal(list(loader(cls, on_device=True, **options)), list(loader(cls, **options)))


MIXED = {"mixup": 0.4, "cutmix": 1.0}


@pytest.mark.parametrize("options", [{}, {"epoch": 3}, {"rank": 1, "world_size": 3}, {"accumulate": 3}], ids=str)
def test_stream__of_mixtures_is_that_of_the_ordinary_loader(options):
    ours, reference = (
        list(loader(ShapesClassification, on_device=on_device, **MIXED, **options)) for on_device in (True, False)
    )
    assert_equal(ours, reference)
    assert list(ours[0]) == ["image", "target", "index", "partner", "share", "counts"]


@pytest.mark.parametrize("block", [1, 3000, 2**22])
def test_stream__however_much_is_cut_out_at_once(monkeypatch, block):
    reference = list(loader(on_device=True, accumulate=2, device_transforms=TRANSFORMS))
    monkeypatch.setattr(on_device_module, "_BLOCK", block)
    assert_equal(list(loader(on_device=True, accumulate=2, device_transforms=TRANSFORMS)), reference)


@pytest.mark.parametrize(("world_size", "accumulate"), [(2, 1), (3, 2), (1, 3)])
@pytest.mark.parametrize("more", [{}, {"cls": ShapesClassification, **MIXED}], ids=["plain", "mixed"])
def test_stream__however_a_step_is_shared(world_size, accumulate, more):
    options = {"on_device": True, "device_transforms": TRANSFORMS, "epoch": 1, **more}
    whole = list(loader(**options))
    expected = {name: torch.cat([batch[name] for batch in whole]) for name in whole[0] if name != "counts"}
    for rank in range(world_size):
        batches = list(loader(rank=rank, world_size=world_size, accumulate=accumulate, **options))
        assert all(len(batch["image"]) == 6 // world_size // accumulate for batch in batches)
        for name, values in expected.items():
            assert torch.equal(torch.cat([batch[name] for batch in batches]), values[rank::world_size])


def test_stream__resumes_within_an_epoch():
    options = {"on_device": True, "device_transforms": TRANSFORMS}
    expected = list(loader(**options))
    rest = loader(start=12, **options)
    assert_equal(list(rest), expected[2:])
    assert_equal(list(rest), expected)


def test_stream__depends_on_epoch_and_seed():
    options = {"on_device": True, "device_transforms": TRANSFORMS}
    epochs = [torch.cat([batch["image"] for batch in loader(epoch=epoch, **options)]) for epoch in range(3)]
    assert not any(torch.equal(first, second) for first, second in pairwise(epochs))


class FromHost(TorchDispatchMode):
    """Notes what is brought from the host to a device that holds no numbers; to a GPU, it would wait."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        hosts = [part for part in args if isinstance(part, torch.Tensor) and part.device.type == "cpu"]
        # the first is all that is seen of a tensor that is made of numbers
        if "lift_fresh" in func.name() or ("copy" in func.name() and hosts):
            self.found.append(func.name())
        return result


def test_stream__no_host_copies_within_an_epoch():
    train = loader(on_device=True, device_transforms=[*TRANSFORMS, Cutout()]).dataset
    train.images, train.targets = train.images.to("meta"), train.targets.to("meta")
    samples = torch.arange(6, device="meta")
    with FromHost() as noted:
        batch = train.augmented(samples, samples, 0, 0)
        assert batch["image"].device.type == "meta"
        assert noted.found == []
        samples.new_tensor(5)
        torch.arange(6).to("meta")
    assert len(noted.found) == 2


def test_counts__are_those_of_augmented_targets():
    for batch in loader(on_device=True, device_transforms=TRANSFORMS):
        assert batch["counts"].tolist() == batch["target"].flatten().bincount(minlength=256).tolist()
        # as much void as zeros have come in
        assert batch["counts"][IGNORE] == (batch["target"] == IGNORE).sum() > 0


@pytest.mark.parametrize("options", [{}, {"rank": 1, "world_size": 2}, {"rank": 2, "world_size": 3}], ids=str)
def test_evaluation__is_that_of_the_ordinary_loader(options):
    def items(**more):
        data = Shapes(**OPTIONS, **more, eval_transforms=[A.Resize(8, 12), A.InvertImg(p=1)])
        data.trainer = Sharing(**options)
        return list(data.val_dataloader())

    ours, reference = items(on_device=True), items()
    assert [len(item) for item in ours] == [len(item) for item in reference]
    assert_equal([batch for item in ours for batch in item], [batch for item in reference for batch in item])
    assert ours[0][0]["image"].shape[2:] == (8, 12)


def test_evaluation__a_batch_of_padding_alone_is_empty():
    data = Shapes(**{**OPTIONS, "batch_size": 2}, on_device=True)
    data.trainer = Sharing(1, 2)
    # 7 samples over two processes: the last batch of the second has none
    assert [len(item) for item in data.val_dataloader()] == [1, 1, 1, 0]


class Own(ImageDataModule):
    classes = ("a", "b")

    def __init__(self, masks, **options):
        super().__init__(batch_size=1, **options)
        self.masks = masks

    def make_dataset(self, split):
        return MaskOnlyDataset(self.masks)


def test_check__unequal_sizes_are_named():
    data = Own([np.zeros((4, 5), np.uint8), np.ones((4, 6), np.uint8)], on_device=True)
    with pytest.raises(ConfigError, match=r"images of the train split.*0 is 3×4×5 uint8, 1 is 3×4×6 uint8; leave"):
        data.check_training()


def test_check__too_little_memory_is_an_error(monkeypatch):
    monkeypatch.setattr(on_device_module, "_free_memory", lambda _device: 10**4)
    with pytest.raises(ConfigError, match=r"the train split needs 0\.0 GB, and 0\.0 GB are free on the device \(cpu\)"):
        Shapes(**OPTIONS, on_device=True).check_training()


class SeparateGenerator(DeviceTransform):
    def __call__(self, images, targets, draws):
        return images.roll(int(torch.randint(1, 8, ())), -1), targets


class FloatScale(DeviceTransform):
    def __call__(self, images, targets, draws):
        return images.float(), targets


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (SeparateGenerator(), "the image of a sample differs .* take them from `draws` alone"),
        (FloatScale(), r"each image is 3×16×16 torch\.uint8 and becomes 3×16×16 torch\.float32"),
        (RandomTranslate(16), "must be below the sides of the images, 16×16, got 16"),
    ],
    ids=["random", "scale", "size"],
)
def test_check__invalid_transforms(transform, message):
    torch.manual_seed(0)
    with pytest.raises(ConfigError, match=message):
        Shapes(**OPTIONS, on_device=True, device_transforms=[RandomFlip(), transform]).check_training()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device_transforms": [RandomFlip()]}, "set data.on_device: true"),
        ({"on_device": True, "train_transforms": [A.D4()]}, r"set data.train_transforms: \[\]"),
        ({"on_device": True, "copy_paste": 0.5}, "copy_paste"),
        ({"on_device": True, "rare_transforms": [A.D4()]}, "rare_transforms"),
    ],
)
def test_options__mutually_exclusive(options, message):
    with pytest.raises(ConfigError, match=message):
        Shapes(**options)


ON_DEVICE = """    train_transforms: []
    on_device: true
    device_transforms:
      - {class_path: lightseg.data.device_transforms.AlternatingFlip}
      - {class_path: lightseg.data.device_transforms.RandomTranslate, init_args: {padding: zero}}
trainer:"""


@pytest.fixture
def on_device(crashing_recipe):
    """Recipe with every stateful component, and the data in memory."""
    before, _, rest = STATEFUL_RECIPE.partition("    train_transforms:")
    assert rest.count("trainer:") == 1
    crashing_recipe.write_text(before + ON_DEVICE + rest.partition("trainer:")[2])
    return crashing_recipe


def test_fit__same_numbers_as_with_the_ordinary_loader(fit, crashing_recipe):
    options = ["--config", crashing_recipe, "--data.train_transforms", "[]", "--trainer.max_epochs", "2"]
    assert_same_run(fit(*options, "--data.on_device", "true").folder, fit(*options).folder)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--trainer.accumulate_grad_batches", "2"]], ids=str)
@pytest.mark.parametrize("moment", ["on_train_batch_end:7", "on_before_backward:13", "on_validation_end:2"])
def test_resume__same_numbers_as_uninterrupted(fit, on_device, monkeypatch, moment, options):
    uninterrupted = fit("--config", on_device, *options)
    assert uninterrupted.code == 0
    monkeypatch.setenv("CRASH", moment)
    crashed = fit("--config", on_device, *options)
    assert crashed.code == 1
    monkeypatch.delenv("CRASH")
    assert fit("--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, uninterrupted.folder)


def test_fit__overfits_batches_too(fit, on_device):
    outcome = fit("--config", on_device, "--trainer.overfit_batches", "2", "--trainer.max_epochs", "2")
    assert outcome.code == 0, outcome.err
    assert outcome.metrics["train/steps"] == 4
