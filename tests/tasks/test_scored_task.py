"""Scoring of tasks: what is counted, and the loss of a split."""

import pytest
import torch
from torch import nn

from lightseg.data import ShapesClassification
from lightseg.data.loading.collate import stack_by_size
from lightseg.labels import IGNORE
from lightseg.nets import UNet
from lightseg.tasks import ClassificationTask, SegmentationTask
from tests.tasks.plain_tasks import make_shapes, make_task, make_trainer


def test_evaluate__the_truth_keeps_its_size():
    target = torch.randint(0, 3, (1, 48, 64))
    target[0, 0] = IGNORE
    small = torch.rand(1, 3, 24, 32)
    task = make_task()
    task._evaluate([{"image": small, "target": target, "index": torch.tensor([0])}], "val")
    counts = task.val_counts.compute()
    assert counts.sum() == 47 * 64


def test_evaluate__batches_of_mixed_sizes_count_the_same():
    sizes = [(16, 16), (24, 8), (16, 16), (9, 7)]
    samples = [
        {"image": torch.rand(3, *size), "target": torch.randint(0, 3, size), "index": index}
        for index, size in enumerate(sizes)
    ]
    matrices = []
    for batch_size in (1, 2, 4):
        task = make_task()
        for start in range(0, 4, batch_size):
            task._evaluate(stack_by_size(samples[start : start + batch_size]), "test")
        matrices.append(task.test_counts.compute())
    assert torch.equal(matrices[0], matrices[1])
    assert torch.equal(matrices[0], matrices[2])


def test_epochs__do_not_add_up():
    data, task = make_shapes(), SegmentationTask(UNet(6, width=4, depth=1), data_classes := make_shapes().classes)
    trainer = make_trainer()
    trainer.validate(task, data, verbose=False)
    first = task.counts["val"]
    trainer.validate(task, data, verbose=False)
    assert len(data_classes) == 6
    assert torch.equal(first, task.counts["val"])


def test_classification__counts_images():
    data = ShapesClassification(train_size=8, val_size=6, test_size=4, batch_size=4, num_workers=0)

    class Constantly(nn.Module):
        def forward(self, x):
            return torch.eye(5)[2].repeat(len(x), 1)

    task = ClassificationTask(Constantly(), data.classes)
    make_trainer().validate(task, data, verbose=False)
    counts = task.counts["val"]
    assert (counts.sum(1).numpy() == data.class_counts("val")).all()
    assert counts[:, 2].sum() == 6


@pytest.mark.parametrize("loss", ["ce", "dice"])
def test_eval_loss__does_not_depend_on_the_batch(loss):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 8, 8, generator=generator)
    targets = torch.randint(0, 3, (4, 8, 8), generator=generator)
    targets[0, :7] = IGNORE
    targets[1] = IGNORE
    losses = []
    for size in (1, 2, 4):
        task = make_task(loss=loss)
        for image, target in zip(images.split(size), targets.split(size), strict=True):
            task._evaluate([{"image": image, "target": target, "index": torch.arange(len(image))}], "val")
        losses.append(float(task.val_loss.compute()))
    assert losses[1] == pytest.approx(losses[0])
    assert losses[2] == pytest.approx(losses[0])
