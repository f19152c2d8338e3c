"""What lightseg costs beside a hand-written PyTorch loop: same net, data, loss, optimiser, precision and batches.

usage: python experiments/benchmarks/overhead.py [REPETITIONS]

Both train in this process, in turn, for the same number of steps; the first pair warms up and does not count. What is
compared is training images per second between the first and the last step, validation and start-up apart.
"""

import logging
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

import lightseg
from lightseg.callbacks import EpochLines, Interrupt, NonFiniteGuard, Throughput
from lightseg.data import ImageDataModule, Shapes, ShapesClassification
from lightseg.loggers import RunLog
from lightseg.nets import SimpleCNN, SmpNet
from lightseg.optim import Constant
from lightseg.tasks import ClassificationTask, SegmentationTask, Task

STEPS = {"U-Net on ResNet-18, 96², batch 16": 30, "tutorial CNN, 32², batch 128": 60}


def segmentation() -> tuple[ImageDataModule, nn.Module, type[Task]]:
    """A net whose step takes a while."""
    data = Shapes(train_size=16 * 32, batch_size=16, num_workers=0)
    return data, SmpNet(data.num_classes, arch="unet", encoder="resnet18"), SegmentationTask


def classification() -> tuple[ImageDataModule, nn.Module, type[Task]]:
    """A net whose step takes milliseconds, where overhead shows."""
    data = ShapesClassification(train_size=128 * 62, batch_size=128, num_workers=0)
    return data, SimpleCNN(data.num_classes), ClassificationTask


class Clock(L.Callback):
    """Images per second from the end of the first step to the end of the last."""

    def __init__(self, steps: int) -> None:
        self.steps, self.rate, self._images, self._since = steps, 0.0, 0, 0.0

    def on_train_batch_end(self, _trainer: L.Trainer, _task: Task, _outputs: object, batch: dict, index: int) -> None:
        """Count what follows the first step."""
        if index == 0:
            self._since = time.perf_counter()
        else:
            self._images += len(batch["image"])
        if index == self.steps - 1:
            self.rate = self._images / (time.perf_counter() - self._since)


def by_lightseg(data: ImageDataModule, net: nn.Module, kind: type[Task], steps: int) -> float:
    """The trainer as `lightseg.fit` makes it: its callbacks and its log."""
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(steps)
        run = [EpochLines(), Throughput(), Interrupt(), NonFiniteGuard(), clock]
        trainer = L.Trainer(
            accelerator="auto",
            devices=1,
            precision="bf16-mixed",
            max_steps=steps,
            limit_val_batches=0,
            callbacks=run,
            logger=RunLog(Path(folder)),
            log_every_n_steps=10,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=folder,
        )
        trainer.fit(kind(net, data.classes, schedule=Constant()), datamodule=data)
    return clock.rate


def by_hand(data: ImageDataModule, net: nn.Module, _kind: type[Task], steps: int) -> float:
    """The shortest honest loop."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = net.train().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters())
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in data.pixel_stats())
    loader: DataLoader = data.train_dataloader()
    images, since = 0, 0.0
    for index, batch in zip(range(steps), loader, strict=False):
        pixels = batch["image"].to(device).float().div(255).sub(mean).div(std)
        with torch.autocast(device.type, torch.bfloat16):
            logits = net(pixels.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(logits.float(), batch["target"].to(device), ignore_index=255)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if index == 0:
            loss.item()
            since = time.perf_counter()
        else:
            images += len(pixels)
    loss.item()
    return images / (time.perf_counter() - since)


def main(repetitions: int) -> None:
    """Measure in pairs and print the table."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # what lightning 2.6 asks of torch's pytree, and how few workers there are, says nothing about speed here
    warnings.simplefilter("ignore")
    device = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores ({platform.machine()})"
    )
    print(f"lightseg {lightseg.__version__}, torch {torch.__version__}, {device}, {repetitions} pairs each\n")
    print("| net | by hand, images/s | lightseg, images/s | ratio, median (min to max) |\n|---|---|---|---|")
    for (name, steps), make in zip(STEPS.items(), (segmentation, classification), strict=True):
        pairs = [(by_hand(*make(), steps), by_lightseg(*make(), steps)) for _ in range(repetitions + 1)][1:]
        ratios = [ours / theirs for theirs, ours in pairs]
        hand, ours = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"| {name} | {hand:.0f} | {ours:.0f} | {spread} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
