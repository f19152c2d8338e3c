"""State of a training between two optimizer steps, from which it resumes exactly."""

import time
from pathlib import Path
from typing import Any

import lightning as L

from lightseg.callbacks.graceful_stop import Stop
from lightseg.data.loading.loaders import StepLoader
from lightseg.data.loading.samplers import EpochSampler
from lightseg.distributed.lightning_compat import repair_resumed_progress
from lightseg.errors import ConfigError


class LastCheckpoint(L.Callback):
    """Writes `last.ckpt` after every validation, at intervals in between, when the run is stopped, and at its end.

    The checkpoint is always written at the same point: the first batch of the next step has been fetched, and all hooks
    and logs of the previous steps are complete. This callback must be the first one for that.

    Args:
        path: The file.
        every_n_steps: Also write after this many optimizer steps.
        every_minutes: Also write when the last checkpoint is this many minutes old.

    Attributes:
        extends: Whether the checkpoint to start from is the last one of another run, which has ended, instead of one of
            this run.
    """

    extends = False

    def __init__(self, path: Path, every_n_steps: int | None = None, every_minutes: float | None = None) -> None:
        self.path, self.every_n_steps, self.every_minutes = path, every_n_steps, every_minutes
        self.finished = False
        self._before, self._since = 0.0, time.monotonic()
        self._saved_at, self._saved_step = time.monotonic(), 0
        self._validated, self._resumed = False, False

    @property
    def seconds(self) -> float:
        """Return the seconds of the training, including those before each resume."""
        return self._before + time.monotonic() - self._since

    def setup(self, trainer: L.Trainer, task: L.LightningModule, stage: str) -> None:
        """Broadcast the path of the file to the other processes."""
        self.path = Path(trainer.strategy.broadcast(str(self.path)))

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the loader behind the completed batches of the epoch, the only state of its order.

        Raises:
            ConfigError: If an epoch is not an integer number of steps, or its sampler cannot be resumed.
        """
        loader: Any = trainer.train_dataloader
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        if trainer.num_training_batches % trainer.accumulate_grad_batches:
            raise ConfigError(
                f"trainer.limit_train_batches: {trainer.num_training_batches} batches are no whole number of steps of "
                f"{trainer.accumulate_grad_batches} (trainer.accumulate_grad_batches) each"
            )
        if isinstance(loader, StepLoader):
            # Lightning replaces the loader in some options, such as overfit_batches
            loader.batches_per_step = trainer.accumulate_grad_batches
        if done and not isinstance(loader.sampler, EpochSampler):
            raise ConfigError("trainer.overfit_batches: such a run cannot go on within an epoch; start it again")
        if done:
            loader.sampler.start = done * loader.batch_size * trainer.world_size

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock."""
        self._since = self._saved_at = time.monotonic()

    def on_sanity_check_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Ignore the sanity check, which is no validation."""
        self._validated = False

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Schedule a checkpoint before the next step, after all other hooks of the epoch's end."""
        self._validated = True

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Save if a checkpoint is due."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        if self._resumed:
            repair_resumed_progress(trainer)
            self._resumed, self._saved_step = False, trainer.global_step
        if self._is_time(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save the final state, so that a run that is killed during its test need not train again."""
        self.finished = True
        self._save(trainer)

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        """Save if the run was stopped between two steps; after an error inside a step there is no consistent state."""
        if isinstance(exception, Stop) and self._saved_step != trainer.global_step:
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds of the training so far, and whether it has finished."""
        return {"seconds": self.seconds, "finished": self.finished}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._before, self.finished, self._resumed = state["seconds"], state["finished"], True

    def on_save_checkpoint(self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the run folder and the batches per step, which Lightning's progress counts need."""
        checkpoint["made_in"] = {
            "folder": str(self.path.parent),
            "batches_per_step": trainer.accumulate_grad_batches,
            "should_stop": trainer.should_stop or self.finished,
        }

    def on_load_checkpoint(self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adapt paths and progress counts to this run folder and its number of batches per step."""
        if self.extends:
            _go_on_after_end(checkpoint)
        made_in = checkpoint["made_in"]
        trainer.should_stop = made_in["should_stop"]
        for state in checkpoint["callbacks"].values():
            _move_paths(state, made_in["folder"], str(self.path.parent))
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for name in ("total", "current"):
            pending = progress[name]["ready"] - progress[name]["completed"]
            completed = progress[name]["completed"] // made_in["batches_per_step"] * trainer.accumulate_grad_batches
            progress[name] = {
                "ready": completed + pending,
                "started": completed,
                "processed": completed,
                "completed": completed,
            }

    def _is_time(self, trainer: L.Trainer) -> bool:
        if trainer.global_step == self._saved_step:
            return False
        if self._validated or (self.every_n_steps and trainer.global_step % self.every_n_steps == 0):
            return True
        # all processes must take the same decision, and their clocks differ
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.every_minutes is None or trainer.global_step % interval:
            return False
        late = time.monotonic() - self._saved_at > 60 * self.every_minutes
        return trainer.strategy.reduce_boolean_decision(late, all=False)

    def _save(self, trainer: L.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.path)
        self._saved_at, self._saved_step, self._validated = time.monotonic(), trainer.global_step, False


def is_early_stopping(state: Any) -> bool:
    """Return whether the state of a callback is that of `EarlyStopping`."""
    return isinstance(state, dict) and {"wait_count", "patience"} <= state.keys()


def _go_on_after_end(checkpoint: dict[str, Any]) -> None:
    """Turn the last checkpoint of a run that has ended into one to go on from: after its epoch, or within that epoch.

    The best checkpoints are those of that run, and its patience is at its end, so that these states are dropped.
    """
    checkpoint["made_in"]["should_stop"] = checkpoint["callbacks"]["LastCheckpoint"]["finished"] = False
    states = checkpoint["callbacks"].items()
    for key in [key for key, state in states if "best_k_models" in state or is_early_stopping(state)]:
        del checkpoint["callbacks"][key]
    loop = checkpoint["loops"]["fit_loop"]
    batches = loop["epoch_loop.batch_progress"]
    if batches["is_last_batch"]:
        batches.update(is_last_batch=False, current=dict.fromkeys(batches["current"], 0))
        return
    for progress in loop["epoch_progress"].values():
        # Lightning counts an epoch as complete in which the training ends
        progress["processed"] = progress["completed"] = progress["completed"] - 1


def _move_paths(state: dict[str, Any], old_folder: str, new_folder: str) -> None:
    """Replace the run folder in the paths of a `ModelCheckpoint`."""
    if state.get("dirpath") == old_folder:
        for name in ("dirpath", "best_model_path", "kth_best_model_path", "last_model_path"):
            state[name] = state[name].replace(old_folder, new_folder)
        state["best_k_models"] = {
            path.replace(old_folder, new_folder): score for path, score in state["best_k_models"].items()
        }
