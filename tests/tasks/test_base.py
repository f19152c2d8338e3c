"""The step that all tasks share, with nets whose answers are known."""

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger

from lightseg.errors import ConfigError
from lightseg.nets import FCN, UNet
from lightseg.optim.schedules import Constant
from lightseg.tasks import SegmentationTask
from tests.tasks.plain_tasks import PLAIN, Brightest, make_shapes, make_task, make_trainer


@pytest.mark.parametrize("size", [(37, 61), (8, 8), (3, 5), (64, 32)])
def test_forward__any_size_is_padded_and_cropped_back(size):
    image = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    assert torch.equal(make_task()(image), image.float() / 255)


def test_forward__normalises_bytes_and_floats_alike():
    image = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    task = make_task(mean=[0.5, 0.4, 0.3], std=[0.1, 0.2, 0.3])
    expected = (image.float() / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.1, 0.2, 0.3]).view(
        3, 1, 1
    )
    assert torch.allclose(task(image), expected)
    assert torch.equal(task(image), task(image.float() / 255))


def test_frozen_encoder__does_not_move_at_all():
    data = make_shapes()
    task = SegmentationTask(FCN(6, width=4), data.classes, freeze_encoder=1.0)
    before = {name: value.clone() for name, value in task.net.state_dict().items()}
    make_trainer().fit(task, data)
    after = task.net.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved
    assert not [name for name in moved if name.startswith("encoder.")]


def test_frozen_encoder__moves_once_its_share_of_the_training_is_over():
    data = make_shapes()
    task = SegmentationTask(FCN(6, width=4), data.classes, freeze_encoder=0.5, schedule=Constant())
    states = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, module, *args):
            states.append({name: value.clone() for name, value in module.net.encoder.state_dict().items()})

    before = {name: value.clone() for name, value in task.net.encoder.state_dict().items()}
    make_trainer(callbacks=[Watch()]).fit(task, data)
    same = [all(torch.equal(before[name], state[name]) for name in before) for state in states]
    assert same == [True, False]


def test_normalization__follows_pretrained_weights_then_the_data():
    data = make_shapes()
    net = UNet(6, width=4, depth=1)
    net.normalization = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    task = SegmentationTask(net, data.classes)
    make_trainer().validate(task, data, verbose=False)
    assert task.resolved["mean"] == pytest.approx([0.1, 0.2, 0.3])
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes)
    make_trainer().validate(task, data, verbose=False)
    assert task.resolved["mean"] == pytest.approx(list(data.pixel_stats()[0]))


def test_normalization__must_fit_the_channels():
    data = make_shapes()
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes, mean=[0.5], std=[0.5])
    with pytest.raises(ConfigError, match=r"model\.mean: give one number per channel, 3"):
        make_trainer().validate(task, data, verbose=False)


def test_logits__must_match_the_classes():
    with pytest.raises(ConfigError, match="Brightest gives 3 classes, but the data has 2"):
        SegmentationTask(Brightest(), ["a", "b"], **PLAIN)(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize("option", [{"freeze_encoder": 0.5}, {"encoder_lr_factor": 0.1}, {"freeze_encoder": 1.5}])
def test_encoder_options__need_an_encoder_and_a_share(option):
    with pytest.raises(ConfigError, match=f"model.{next(iter(option))}"):
        make_task(**option)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze_stages": 2}, "model.freeze_stages: model.freeze_encoder: 1"),
        ({}, "model.net.grad_checkpointing: an encoder that is frozen"),
    ],
)
def test_encoder_options__without_effect_beside_a_frozen_encoder(options, message):
    net = FCN(3, encoder="test_resnet", grad_checkpointing=not options)
    with pytest.raises(ConfigError, match=message):
        SegmentationTask(net, ["a", "b", "c"], freeze_encoder=1.0, **options)


@pytest.mark.slow
def test_compile__leaves_the_names_of_the_weights_alone():
    data = make_shapes(train_size=4)
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes, compile=True)
    plain = SegmentationTask(UNet(6, width=4, depth=1), data.classes)
    make_trainer().fit(task, data)
    assert task.net.state_dict().keys() == plain.net.state_dict().keys()
    plain.load_state_dict(task.state_dict(), strict=False)
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    plain.mean, plain.std = task.mean, task.std
    task.eval()
    plain.eval()
    with torch.no_grad():
        assert np.allclose(task(image), plain(image), atol=1e-4)


def test_normalization__of_bytes_is_refused():
    with pytest.raises(ConfigError, match=r"model\.std: 0\.\.1 scale"):
        make_task(std=[58.0, 57.0, 57.0])


def test_frozen_encoder__takes_no_part_in_the_exchange_of_gradients():
    task = SegmentationTask(FCN(3, width=4), ["a", "b", "c"], freeze_encoder=1.0)
    assert not any(parameter.requires_grad for parameter in task.net.encoder.parameters())


def test_ema__copies_of_the_task_can_be_made():
    import copy

    copy.deepcopy(make_task())


class Memory(Logger):
    """Keeps the losses of the training that are logged, by their step."""

    name = version = "memory"

    def __init__(self):
        super().__init__()
        self.losses = {}

    def log_hyperparams(self, *args):
        pass

    def log_metrics(self, metrics, step=None):
        if "train/loss" in metrics:
            self.losses[step] = metrics["train/loss"]


class LossReader(L.Callback):
    """Notes the loss of each step, and what callbacks read at its end and at validations."""

    def __init__(self, stop_at=None):
        self.losses, self.read, self.validated, self.stop_at = [], [], [], stop_at

    def on_train_batch_end(self, trainer, task, *args):
        self.losses.append(float(task.step_loss))
        self.read.append(float(trainer.callback_metrics.get("train/loss", -1)))
        trainer.should_stop = trainer.global_step == self.stop_at

    def on_validation_end(self, trainer, task):
        self.validated.append((len(self.losses), float(trainer.callback_metrics["train/loss"])))


def _logged(*callbacks, stop_at=None, **options):
    reader, memory, data = LossReader(stop_at), Memory(), make_shapes(train_size=24)
    torch.manual_seed(0)
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes, schedule=Constant())
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"max_epochs": 2, "num_sanity_val_steps": 0, "log_every_n_steps": 4, **quiet, **options}
    L.Trainer(accelerator="cpu", callbacks=[*callbacks, reader], logger=memory, **options).fit(task, data)
    return reader, memory.losses


def test_training_loss__is_logged_at_the_interval_and_where_the_training_stops():
    reader, logged = _logged(stop_at=9)
    assert len(set(reader.losses)) == 9
    # Lightning logs the last step, too, though it is none of the interval
    assert logged == {step: pytest.approx(reader.losses[step]) for step in (3, 7, 8)}


@pytest.mark.parametrize(("options", "steps"), [({}, [6, 12]), ({"val_check_interval": 0.5}, [3, 6, 9, 12])])
def test_training_loss__is_that_of_the_last_step_at_a_validation(options, steps):
    reader, _ = _logged(**options)
    assert reader.validated == [(step, pytest.approx(reader.losses[step - 1])) for step in steps]


def test_training_loss__is_that_of_every_step_for_a_callback_that_watches_it():
    reader, logged = _logged(EarlyStopping("train/loss", patience=99))
    assert reader.read == pytest.approx(reader.losses)
    assert list(logged) == [3, 7, 11]
