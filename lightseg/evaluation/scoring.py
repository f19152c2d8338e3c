"""Scoring of data by Lightning's Trainer: every valid pixel once, on any number of processes."""

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

from lightseg.callbacks import ScoringPrinter
from lightseg.config.class_errors import describe_exit
from lightseg.data.dataset import require_valid
from lightseg.distributed import environment, startup
from lightseg.distributed.lightning_compat import replaced_internals
from lightseg.errors import ConfigError, require
from lightseg.evaluation.counts import evaluation_of, score_split
from lightseg.evaluation.extra_metrics import MetricResults
from lightseg.evaluation.split_data import Name, SplitData
from lightseg.files.printable import format_count
from lightseg.hardware.cpu import usable_cores
from lightseg.hardware.devices import check_precision, choose_precision, training_device
from lightseg.hardware.precision_names import AUTO
from lightseg.metrics.per_image import PerImageResults
from lightseg.tasks import Task
from lightseg.tasks.failures import translate_error
from lightseg.tasks.preflight import refusal


@dataclass(frozen=True)
class Scored:
    """Result of one scoring.

    Attributes:
        scores: The scores of the task and its loss, by name, without the prefix of the split.
        counts: The counts that they follow from, `Task.make_counts`.
        evaluation: The per-image results.
        extra_results: The result of each extra metric.
    """

    scores: dict[str, float]
    counts: Tensor
    evaluation: PerImageResults
    extra_results: MetricResults


class _ComputeExtraMetrics(L.Callback):
    """Computation of the extra metrics while the process group still exists."""

    results: MetricResults

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Compute every metric, summed over the processes."""
        metrics = pl_module.extra_metrics.items()  # type: ignore[union-attr, operator]
        self.results = {name: _to_cpu(metric.compute()) for name, metric in metrics}


class Scorer:
    """Scorer of a task, for any number of scorings.

    Args:
        task: The task.
        accelerator: `cpu`, or `auto` for the best device of this machine.
        devices: Number of processes.
        precision: Lightning's name of the precision, or `auto`.

    Raises:
        ConfigError: If this machine does not support the devices or the precision.
    """

    def __init__(self, task: Task, accelerator: str, devices: int, precision: str) -> None:
        self.task, self._extra_metrics = task, _ComputeExtraMetrics()
        device = training_device(accelerator)
        try:
            self.choice = (
                choose_precision(device) if precision == AUTO else check_precision(precision, device, "precision")
            )
            if self.precision != "64-true":
                # Lightning does not convert a net that was trained in float64
                task.float()
            if device.type == "cpu":
                cores = usable_cores()
                require(devices <= cores, f"this process may use {format_count(cores, 'core')}")
            self.trainer = L.Trainer(
                accelerator=accelerator,
                devices=devices,
                strategy="ddp" if devices > 1 else "auto",
                precision=self.choice.precision,  # type: ignore[arg-type]
                callbacks=[self._extra_metrics, ScoringPrinter()],
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=sys.stdout.isatty(),
                use_distributed_sampler=False,
            )
            startup.check_processes(self.trainer)
        except (MisconfigurationException, ValueError, TypeError, RuntimeError, ConfigError) as error:
            raise ConfigError(f"--devices {devices} --precision {precision}: {_one_line(error)}") from None
        except KeyError as error:
            raise environment.explain_missing_variable(error) or error from None

    @property
    def precision(self) -> str:
        """Return Lightning's name of the precision."""
        return self.choice.precision

    @property
    def device(self) -> str:
        """Return the device: `cpu`, or the name of the GPU."""
        device = self.trainer.strategy.root_device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def score(self, data: SplitData, name: Name, metrics: Mapping[str, Metric]) -> Scored:
        """Score a split of some data.

        Args:
            data: The split.
            name: Name of the split.
            metrics: Extra metrics, which are updated with the logits.

        Raises:
            RunError: If a valid pixel was left out or counted twice, or a process has died.
            DataError: If a sample cannot be read, or every pixel is void.
        """
        task = self.task
        task.extra_metrics = nn.ModuleDict(dict(metrics))
        # reads every target before the net runs
        require_valid(data.truth_table("test"), data.root, name)
        try:
            # the processes that this one starts inherit its precision
            with replaced_internals(), environment.inherited({environment.PRECISION: self.precision}):
                scores = score_split(self.trainer, task, data, "test", name)
        except SystemExit as error:
            if describe_exit(error):
                raise
            # Lightning turns Ctrl-C into SystemExit
            raise KeyboardInterrupt from None
        except Exception as error:
            failure = translate_error(error, self.trainer) if isinstance(error, RuntimeError | ValueError) else None
            failure = failure or refusal(error, task.net)
            if failure is None:
                raise
            raise failure from None
        finally:
            task.extra_metrics = nn.ModuleDict()
        return Scored(scores, task.counts["test"], evaluation_of(task, data, "test", name), self._extra_metrics.results)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).removeprefix("precision: ").split())


def _to_cpu(computed: Any) -> Any:
    return tuple(map(_to_cpu, computed)) if isinstance(computed, tuple) else computed.cpu()
