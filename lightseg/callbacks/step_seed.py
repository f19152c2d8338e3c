"""Randomness inside the net, such as dropout, as a function of the step."""

from typing import Any

import lightning as L
import torch

from lightseg.data.sample_index import mix

_NET = 3


class StepSeed(L.Callback):
    """Seeds torch's generators from (seed, optimizer step, micro-batch, process) before every forward pass.

    A resumed run draws the same numbers as an uninterrupted one, without a saved generator state.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed the generators of the CPU and of this process's device."""
        micro_batch = batch_idx % trainer.accumulate_grad_batches
        seed = mix(self.seed, trainer.global_step, micro_batch, trainer.global_rank, _NET)
        # `torch.manual_seed` seeds every backend, which takes 0.2 ms
        torch.default_generator.manual_seed(seed)
        if task.device.type == "cuda":
            torch.cuda.manual_seed(seed)
