"""The shortest honest PyTorch loop: net, data, loss, optimiser, precision and batches of a recipe, and nothing else.

usage: python hand_written.py PRECISION [--compile] [--sgd] [--fused] [--smoothing X] [--same_batch] OPTION...

It takes turns with `lightseg.fit`; see `turns.py`. The options are those of `lightseg.fit`.

  --compile      compile the net
  --sgd          SGD with Nesterov momentum in the place of AdamW
  --fused        the optimiser in one kernel on a CPU too
  --smoothing X  label smoothing of the cross-entropy
  --same_batch   train on the first batch again and again, which stays on the device: no loader, no copies
"""

import argparse
import contextlib
import itertools
import os
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from turns import report, wait_for_turn

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.distributed.lightning_compat import silence_lightning
from lightseg.training.trainer import make_trainer

DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def main() -> None:
    """Train for as long as the benchmark asks for turns."""
    # set by the import of Lightning, which who writes a loop does without; every step of Adam would pay for it
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    silence_lightning()
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("precision")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--sgd", action="store_true")
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--smoothing", type=float, default=0.0)
    parser.add_argument("--same_batch", action="store_true")
    train(*parser.parse_known_args())


def train(choices: argparse.Namespace, options: list[str]) -> None:
    """Build the recipe's data and net and run the loop."""
    cli = LightsegCLI([*options, "--trainer.precision", choices.precision])
    data, net = cli.datamodule, cli.model.net
    trainer = make_trainer(cli, [], [], [])
    device = trainer.strategy.root_device
    # data that lies on the device does so for both
    data.trainer = trainer
    data.prepare_data()
    data.decode(trainer)
    net = net.train().to(device, memory_format=torch.channels_last)
    if choices.compile:
        net.compile()
    optimizer = _optimizer(net, choices.sgd, fused=choices.fused or device.type == "cuda")
    scaler = torch.amp.GradScaler(device.type, enabled=choices.precision == "16-mixed")
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in data.pixel_stats())
    last_step = start = 0.0
    for step, batch in enumerate(_batches(data.train_dataloader(), device, choices.same_batch)):
        if step == last_step:
            if step:
                # the device's queue would hide the time of a step
                loss.item()  # noqa: F821 - defined by the step before
                report(f"turn {time.perf_counter() - start}")
            last_step, start = step + wait_for_turn(), time.perf_counter()
        pixels = batch["image"].to(device, non_blocking=True).float().div(255).sub(mean).div(std)
        with _autocast(device.type, choices.precision):
            logits = net(pixels.contiguous(memory_format=torch.channels_last))
        target = batch["target"].to(device, non_blocking=True)
        loss = nn.functional.cross_entropy(logits.float(), target, ignore_index=255, label_smoothing=choices.smoothing)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()


def _optimizer(net: nn.Module, sgd: bool, fused: bool) -> torch.optim.Optimizer:
    if sgd:
        return torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.85, nesterov=True, fused=fused)
    return torch.optim.AdamW(net.parameters(), fused=fused)


def _autocast(device: str, precision: str) -> contextlib.AbstractContextManager[Any]:
    dtype = DTYPES.get(precision)
    return torch.autocast(device, dtype) if dtype else contextlib.nullcontext()


def _batches(loader: Iterable[Any], device: torch.device, same: bool) -> Iterator[Any]:
    if same:
        batch = {key: value.to(device) for key, value in next(iter(loader)).items() if key in ("image", "target")}
        yield from itertools.repeat(batch)
    while True:
        yield from loader


if __name__ == "__main__":
    main()
