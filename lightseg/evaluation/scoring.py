"""Scoring of some data by Lightning's Trainer: every valid pixel once, on any number of processes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torchmetrics import Metric

from lightseg.data.dataset import require_valid
from lightseg.distributed import environment
from lightseg.errors import ConfigError, require
from lightseg.evaluation.counts import evaluation_of, score_split
from lightseg.evaluation.extra_metrics import Results
from lightseg.evaluation.split_data import Name, SplitData
from lightseg.hardware.cpu import usable_cores
from lightseg.hardware.devices import AUTO, check_precision, choose_precision, training_device
from lightseg.metrics.per_image import PerImageResults
from lightseg.tasks import Task
from lightseg.tasks.failures import translate_error
from lightseg.tasks.lightning_compat import replaced_internals
from lightseg.tasks.preflight import refusal


@dataclass(frozen=True)
class Scored:
    """Result of one scoring.

    Attributes:
        scores: The scores of the task and its loss, by name, without the part's.
        counts: The confusion matrix, int64 `(C, C)`.
        evaluation: What each image adds to it.
        views: What each view has computed.
    """

    scores: dict[str, float]
    counts: Tensor
    evaluation: PerImageResults
    views: Results


class _Collect(L.Callback):
    """Computes the views while the processes are still together."""

    results: Results

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Compute them all; each adds up what the processes have."""
        views = pl_module.views.items()  # type: ignore[union-attr, operator]
        self.results = {name: _on_host(view.compute()) for name, view in views}


class Scorer:
    """Scores a task, as often as one likes.

    Args:
        task: The task.
        accelerator: `cpu`, or `auto` for the best device of this machine.
        devices: Number of processes.
        precision: Lightning's name of it.

    Raises:
        ConfigError: If this machine cannot do that.
    """

    def __init__(self, task: Task, accelerator: str, devices: int, precision: str) -> None:
        self.task, self._collect = task, _Collect()
        device = training_device(accelerator)
        try:
            self.choice = (
                choose_precision(device) if precision == AUTO else check_precision(precision, device, "precision")
            )
            if self.precision != "64-true":
                # Lightning leaves a net that was trained in float64 as it is
                task.float()
            if device.type == "cpu":
                require(devices <= usable_cores(), f"this process may use {usable_cores()} cores")
            self.trainer = L.Trainer(
                accelerator=accelerator,
                devices=devices,
                strategy="ddp" if devices > 1 else "auto",
                precision=self.choice.precision,  # type: ignore[arg-type]
                callbacks=[self._collect],
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=sys.stdout.isatty(),
                use_distributed_sampler=False,
            )
        except (MisconfigurationException, ValueError, TypeError, RuntimeError, ConfigError) as error:
            raise ConfigError(f"--devices {devices} --precision {precision}: {_plain(error)}") from None
        except KeyError as error:
            raise environment.missing(error) or error from None

    @property
    def precision(self) -> str:
        """Lightning's name of the precision."""
        return self.choice.precision

    @property
    def device(self) -> str:
        """Return what computes: `cpu`, or the name of the GPU."""
        device = self.trainer.strategy.root_device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def score(self, part: SplitData, name: Name, views: Mapping[str, Metric]) -> Scored:
        """Score a part of some data.

        Args:
            part: The part.
            name: What it is called.
            views: Metrics that are updated with the logits.

        Raises:
            RunError: If a valid pixel was left out or counted twice, or a process has died.
            DataError: If a sample cannot be read, or all is void.
        """
        task = self.task
        task.views = nn.ModuleDict(dict(views))
        # every target is read before the net runs
        require_valid(part.class_table("test"), part.root, name)
        try:
            # one precision for the processes that this one starts
            with replaced_internals(), environment.inherited({environment.PRECISION: self.precision}):
                scores = score_split(self.trainer, task, part, "test", name)
        except SystemExit:
            # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
        except Exception as error:
            message = translate_error(error, self.trainer) if isinstance(error, RuntimeError | ValueError) else None
            message = message or refusal(error, task.net)
            if message is None:
                raise
            raise message from None
        finally:
            task.views = nn.ModuleDict()
        return Scored(scores, task.counts["test"], evaluation_of(task, part, "test", name), self._collect.results)


def _plain(error: Exception) -> str:
    return " ".join(str(error).removeprefix("precision: ").split())


def _on_host(computed: Any) -> Any:
    return tuple(map(_on_host, computed)) if isinstance(computed, tuple) else computed.cpu()
