"""Teacher of a task: whose logits it gives, and what it is no part of."""

import copy

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn

from lightseg.data import Shapes
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from lightseg.losses.distillation import Distillation
from lightseg.optim.schedules import Constant
from lightseg.tasks import ClassificationTask, MultilabelSegmentationTask, SegmentationTask

CLASSES = list("abc")
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


class FirstBatch(L.Callback):
    """Keeps the first batch of a training, and its loss."""

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        self.batch = batch

    def on_train_batch_end(self, trainer, task, *args):
        self.loss = float(task.step_loss)


def _task(classes=CLASSES, kind=SegmentationTask, net=None, mean=0.5, **options):
    net = net or nn.Conv2d(3, len(classes), 1)
    return kind(net, classes, mean=[mean] * 3, std=[0.25] * 3, schedule=Constant(), **options)


def _logits(net, images, mean):
    weight, bias = (value.detach().double().numpy() for value in (net.weight[..., 0, 0], net.bias))
    normalized = (images.double().numpy() / 255 - mean) / 0.25
    return np.einsum("kc,nchw->nkhw", weight, normalized) + bias[:, None, None]


def _log_probabilities(logits, temperature=1):
    exponentials = np.exp(logits / temperature)
    return np.log(exponentials / exponentials.sum(1, keepdims=True))


def test_training_step__by_hand():
    data = Shapes(image_size=32, train_size=4, val_size=1, test_size=1, batch_size=4, num_workers=0)
    torch.manual_seed(0)
    teacher = _task([*reversed(data.classes)], mean=0.25)
    task = _task(data.classes, teacher_temperature=3.0, teacher_weight=0.75)
    net, first = copy.deepcopy(task.net), FirstBatch()
    task.learn_from(teacher)
    L.Trainer(accelerator="cpu", max_steps=1, callbacks=[first], limit_val_batches=0, **QUIET).fit(task, data)

    images, target = first.batch["image"], first.batch["target"].numpy()
    student = _logits(net, images, 0.5)
    imitated = _logits(teacher.net, images, 0.25)[:, ::-1]
    valid = target != IGNORE
    of_truth = np.take_along_axis(_log_probabilities(student), np.where(valid, target, 0)[:, None], 1)[:, 0]
    cross_entropy = -of_truth[valid].mean()
    p, q = (_log_probabilities(logits, 3) for logits in (imitated, student))
    divergence = (np.exp(p) * (p - q)).sum(1)[valid].mean()
    assert first.loss == pytest.approx(0.25 * cross_entropy + 0.75 * 9 * divergence, rel=1e-5)
    assert abs(divergence) > 0.01


def test_logits__are_in_the_order_of_the_classes_and_of_the_eval_mode():
    teacher = _task(["c", "a", "b"], net=nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.9))).train()
    task = _task()
    task.learn_from(teacher)
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    logits = task.teacher.logits(images)
    assert torch.equal(logits, teacher.eval()(images)[:, [1, 2, 0]])
    assert not logits.requires_grad


def test_teacher__is_no_part_of_the_task():
    task, teacher = _task(), _task()
    names = [*task.state_dict()]
    task.learn_from(teacher)
    assert [*task.state_dict()] == names
    assert len([*task.modules()]) == len([*_task().modules()])
    task.train()
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    # averages are copies of a task
    assert copy.deepcopy(task).teacher is task.teacher


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (_task(kind=ClassificationTask), "model.teacher: is for classification, not for segmentation; take one"),
        (_task(kind=MultilabelSegmentationTask), "is for multi-label segmentation, not for segmentation"),
        (_task(list("abd")), "lacks the class c and has the class d, which the data lacks; take one"),
        (_task(list("c")), "model.teacher: lacks the classes a, b; take"),
        (_task(list("abcdefghi")), "model.teacher: has the classes d, e, f, g, h and 1 more, which the data lacks"),
    ],
    ids=["kind", "overlap", "other", "fewer", "more"],
)
def test_learn_from__a_task_that_does_not_fit(teacher, message):
    with pytest.raises(ConfigError, match=message):
        _task().learn_from(teacher)


def test_fit__a_teacher_that_nobody_has_loaded():
    data = Shapes(image_size=32, train_size=4, val_size=1, test_size=1, batch_size=4, num_workers=0)
    with pytest.raises(ConfigError, match="call `task.learn_from"):
        L.Trainer(accelerator="cpu", max_steps=1, **QUIET).fit(_task(data.classes, teacher="runs/a"), data)


def test_options__have_the_defaults_of_the_loss():
    assert vars(_task().distillation) == vars(Distillation())
