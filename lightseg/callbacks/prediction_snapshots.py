"""Predictions of the same few images while the net learns."""

import lightning as L
import torch
from torch.distributed.fsdp import FSDPModule

from lightseg.data import ImageDataModule
from lightseg.files.evenly_spaced import spread
from lightseg.loggers import Wandb
from lightseg.tasks import Task
from lightseg.tasks.examples import predict
from lightseg.visualization.examples import write_examples

IMAGES, SNAPSHOTS = 4, 10


class PredictionSnapshots(L.Callback):
    """Predicts four validation images, at most ten times a run, into `images/samples/STEP` for a W&B logger to show.

    A snapshot is taken at the first validation after each tenth of the training, the end included. The numbers of the
    run stay as they are without: the first process alone predicts, with the net as it is validated, and draws nothing.
    A net that several processes share cannot run on one of them, and is not shown; nor is anything without W&B.
    """

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Take a snapshot if it is time; averaged weights, which later callbacks take away, are still in place."""
        folder = next((log.folder for log in trainer.loggers if isinstance(log, Wandb) and log.folder), None)
        assert isinstance(task, Task)
        tenth = int(SNAPSHOTS * task.progress) if trainer.state.fn == "fit" else 0
        if folder is None or not tenth or not trainer.is_global_zero or isinstance(task.net, FSDPModule):
            return
        # the step that the scores of this validation are logged with: the first is 0
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        place, total = folder / "images" / "samples", trainer.estimated_stepping_batches
        before = [int(old.name) for old in place.glob("[0-9]*") if int(old.name) < step]
        if any(int(SNAPSHOTS * (old + 1) / total) == tenth for old in before):
            return
        data: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        devices = [task.device] if task.device.type == "cuda" else []
        # a net that draws in evaluation, or is compiled for the shapes it has seen, must not be moved by this
        with (
            torch.random.fork_rng(devices),
            torch.compiler.set_stance("force_eager"),
            trainer.precision_plugin.val_step_context(),
        ):
            examples = predict(task, data, "val", spread(IMAGES, len(data.dataset("val"))))
        write_examples(place / f"{step:08d}", examples, task.classes, data.palette)
