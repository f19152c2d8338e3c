"""State of a training between two optimizer steps, from which it resumes exactly."""

import time
from pathlib import Path
from typing import Any

import lightning as L

from lightseg.callbacks.graceful_stop import Stop
from lightseg.data.loading.loaders import StepLoader
from lightseg.data.loading.samplers import EpochSampler
from lightseg.errors import ConfigError


class LastCheckpoint(L.Callback):
    """Writes `last.ckpt` after every validation, every so often in between, when the run is stopped, and at its end.

    Always at the same point: a batch of the next step is there, but nothing has been done with it, and all that belongs
    to the steps before is done, logged and seen by every other callback. So it must be the first of the callbacks.

    Args:
        path: The file.
        every_n_steps: Also write after so many optimiser steps.
        every_minutes: Also write when the last time is so many minutes ago.
    """

    def __init__(self, path: Path, every_n_steps: int | None = None, every_minutes: float | None = None) -> None:
        self.path, self.every_n_steps, self.every_minutes = path, every_n_steps, every_minutes
        self.finished = False
        self._before, self._since = 0.0, time.monotonic()
        self._saved_at, self._saved_step = time.monotonic(), 0
        self._validated, self._resumed = False, False

    @property
    def seconds(self) -> float:
        """Return how long the training has taken, all of its parts together."""
        return self._before + time.monotonic() - self._since

    def setup(self, trainer: L.Trainer, task: L.LightningModule, stage: str) -> None:
        """Tell the other processes where the file is."""
        self.path = Path(trainer.strategy.broadcast(str(self.path)))

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Let the loader begin where the training is: the batches that were done in the epoch are all there is to know.

        Raises:
            ConfigError: If an epoch is no whole number of steps, or its order is not a known one.
        """
        loader: Any = trainer.train_dataloader
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        if trainer.num_training_batches % trainer.accumulate_grad_batches:
            raise ConfigError(
                f"trainer.limit_train_batches: {trainer.num_training_batches} batches are no whole number of steps of "
                f"{trainer.accumulate_grad_batches} (trainer.accumulate_grad_batches) each"
            )
        if isinstance(loader, StepLoader):
            # not there where Lightning has made the loader again
            loader.batches_per_step = trainer.accumulate_grad_batches
        if done and not isinstance(loader.sampler, EpochSampler):
            raise ConfigError("trainer.overfit_batches: such a run cannot go on within an epoch; start it again")
        if done:
            loader.sampler.start = done * loader.batch_size * trainer.world_size

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock."""
        self._since = self._saved_at = time.monotonic()

    def on_sanity_check_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """That was no validation."""
        self._validated = False

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save before the next step; what else belongs to the end of an epoch comes first."""
        self._validated = True

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Save if it is time."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        if self._resumed:
            # Lightning counts the step that a checkpoint was written in twice, or not, depending on where that was
            loop = trainer.fit_loop.epoch_loop
            loop._batches_that_stepped = trainer.global_step
            loop.batch_progress.total.ready = loop.batch_progress.total.completed + 1
            self._resumed, self._saved_step = False, trainer.global_step
        if self._is_time(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save the end, so that a run that is killed while it is scored need not train again."""
        self.finished = True
        self._save(trainer)

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        """Save where the run was stopped; an error in the midst of a step leaves nothing that could be gone on from."""
        if isinstance(exception, Stop) and self._saved_step != trainer.global_step:
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the time it took, and whether it is the end."""
        return {"seconds": self.seconds, "finished": self.finished}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._before, self.finished, self._resumed = state["seconds"], state["finished"], True

    def on_save_checkpoint(self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Tell where this is, and how many batches make a step: Lightning counts batches."""
        checkpoint["made_in"] = {
            "folder": str(self.path.parent),
            "batches_per_step": trainer.accumulate_grad_batches,
            "should_stop": trainer.should_stop or self.finished,
        }

    def on_load_checkpoint(self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Fit what Lightning saved to the machine and the folder of now."""
        made_in = checkpoint["made_in"]
        trainer.should_stop = made_in["should_stop"]
        for state in checkpoint["callbacks"].values():
            _move_paths(state, made_in["folder"], str(self.path.parent))
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for name in ("total", "current"):
            begun = progress[name]["ready"] - progress[name]["completed"]
            done = progress[name]["completed"] // made_in["batches_per_step"] * trainer.accumulate_grad_batches
            progress[name] = {"ready": done + begun, "started": done, "processed": done, "completed": done}

    def _is_time(self, trainer: L.Trainer) -> bool:
        if trainer.global_step == self._saved_step:
            return False
        if self._validated or (self.every_n_steps and trainer.global_step % self.every_n_steps == 0):
            return True
        # every process must decide alike, and their clocks differ
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.every_minutes is None or trainer.global_step % interval:
            return False
        late = time.monotonic() - self._saved_at > 60 * self.every_minutes
        return trainer.strategy.reduce_boolean_decision(late, all=False)

    def _save(self, trainer: L.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.path)
        self._saved_at, self._saved_step, self._validated = time.monotonic(), trainer.global_step, False


def _move_paths(state: dict[str, Any], before: str, now: str) -> None:
    """Let a `ModelCheckpoint` find its files although the run folder lies elsewhere now."""
    if state.get("dirpath") == before:
        for name in ("dirpath", "best_model_path", "kth_best_model_path", "last_model_path"):
            state[name] = state[name].replace(before, now)
        state["best_k_models"] = {path.replace(before, now): score for path, score in state["best_k_models"].items()}
