"""Predictions of the same few validation images during training."""

import lightning as L
import torch
from torch.distributed.fsdp import FSDPModule

from lightseg.data import ImageDataModule
from lightseg.files.evenly_spaced import spread
from lightseg.loggers.view_logger import ViewLogger
from lightseg.tasks import Task
from lightseg.tasks.examples import predict
from lightseg.visualization.examples import write_examples

IMAGES, SNAPSHOTS = 4, 10


class PredictionSnapshots(L.Callback):
    """Predicts four validation images, at most ten times a run, into `images/samples/STEP` for a logger to show.

    A snapshot is written at the first validation after each tenth of the training, the end included. It does not change
    the metrics of the run: only the first process predicts, and it draws no random number. There are no snapshots of
    sharded nets, which cannot run in one process, nor without W&B, MLflow or TensorBoard.
    """

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Write a snapshot if one is due; averaged weights, which later callbacks swap out, are still in the net."""
        folder = next((log.folder for log in trainer.loggers if isinstance(log, ViewLogger) and log.folder), None)
        assert isinstance(task, Task)
        tenth = int(SNAPSHOTS * task.progress) if trainer.state.fn == "fit" else 0
        if folder is None or not tenth or not trainer.is_global_zero or isinstance(task.net, FSDPModule):
            return
        # by which Lightning's loggers call the metrics of this validation
        step = trainer.global_step - 1
        place, total = folder / "images" / "samples", trainer.estimated_stepping_batches
        before = [int(old.name) for old in place.glob("[0-9]*") if int(old.name) < step]
        if any(int(SNAPSHOTS * (old + 1) / total) == tenth for old in before):
            return
        data: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        devices = [task.device] if task.device.type == "cuda" else []
        # keep random numbers of nets that draw in evaluation, and graphs of nets compiled for other shapes
        with (
            torch.random.fork_rng(devices),
            torch.compiler.set_stance("force_eager"),
            trainer.precision_plugin.val_step_context(),
        ):
            examples = predict(task, data, "val", spread(IMAGES, len(data.dataset("val"))))
        write_examples(place / f"{step:08d}", examples, task.classes, data.palette)
