"""Process of one search of `--find`: the learning-rate range test, or the largest batch that fits the memory."""

import gc
import json
import math
import sys
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.memory import is_oom_error

from lightseg.cli.argv import add_import_path
from lightseg.cli.entry import guarded
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.distributed import supervision
from lightseg.distributed.lightning_compat import replaced_internals, silence_lightning
from lightseg.errors import require
from lightseg.hardware.devices import limit_threads
from lightseg.optim.schedules import Constant
from lightseg.training.checks import check_run
from lightseg.training.find import Finding
from lightseg.training.starting_point import take_starting_point
from lightseg.training.trainer import make_trainer

STEPS, LOWEST, HIGHEST = 100, 1e-6, 10.0
"""Optimizer steps of a range test, and its learning rates."""

_WINDOW = 15
"""Steps over which the loss is smoothed, about a power of ten of the learning rate; odd."""

_DIVERGED = 4.0
"""Multiple of the lowest mean loss at which a range test ends."""

_SIGNIFICANT = 4.0
"""Least fall of the loss in standard errors."""

_TRIAL_STEPS = 2
"""Optimizer steps with each batch size; the state of the optimizer exists from the first one on."""

_SHARE = 0.9
"""Share of the largest batch that is taken: validation and averaged weights need memory, too."""


class RangeTest(L.Callback):
    """Learning rate that rises exponentially with the steps, and the loss at each (Smith 2017, arXiv:1506.01186).

    The factors of the parameter groups stay as they are. Lightning's tuner has one rate for all of them.

    Attributes:
        rates: Learning rate of each step.
        losses: Loss of each step.
    """

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, _task: L.LightningModule, _batch: Any, _index: int) -> None:
        """Set the learning rate of the step."""
        rate = LOWEST * (HIGHEST / LOWEST) ** (trainer.global_step / (STEPS - 1))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["lr_factor"]

    def on_train_batch_end(self, trainer: L.Trainer, task: Any, _outputs: Any, _batch: Any, _index: int) -> None:
        """Record the loss of a whole step, and stop where it diverges."""
        if trainer.global_step == len(self.losses):
            return
        self.rates.append(LOWEST * (HIGHEST / LOWEST) ** (len(self.losses) / (STEPS - 1)))
        self.losses.append(float(task.step_loss))
        means = _windows(self.losses).mean(1)
        is_diverging = len(means) > 0 and means[-1] > _DIVERGED * means.min()
        trainer.should_stop = trainer.should_stop or is_diverging or not math.isfinite(self.losses[-1])


def choose_rate(rates: list[float], losses: list[float]) -> Finding:
    """Return the learning rate that a range test suggests, at which the loss falls fastest.

    Args:
        rates: Learning rate of each step.
        losses: Loss of each step; the last one need not be finite.

    Raises:
        ConfigError: If the loss does not fall.
    """
    curve = [(rate, loss) for rate, loss in zip(rates, losses, strict=True) if math.isfinite(loss)]
    slopes, errors = _slopes([loss for _, loss in curve])
    steepest = int(slopes.argmin()) if len(slopes) else 0
    require(
        len(slopes) > 0 and slopes[steepest] < -_SIGNIFICANT * errors[steepest],
        f"--find lr: the loss falls at no learning rate from {LOWEST:g} to {HIGHEST:g}; give --model.optimizer.lr",
    )
    rate = float(f"{curve[steepest + _WINDOW // 2][0]:.2g}")
    return Finding(value=rate, reason="where the loss of a range test falls fastest", curve=curve)


def _windows(losses: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return each `_WINDOW` losses in succession, `(N, _WINDOW)`."""
    if len(losses) < _WINDOW:
        return np.zeros((0, _WINDOW))
    return np.lib.stride_tricks.sliding_window_view(np.array(losses), _WINDOW)


def _slopes(losses: list[float]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
    """Return the slope of the line through the losses of each window, and its standard error."""
    windows, steps = _windows(losses), np.arange(_WINDOW) - _WINDOW // 2
    spread = (steps**2).sum()
    slopes = windows @ steps / spread
    residuals = windows - windows.mean(1, keepdims=True) - slopes[:, None] * steps
    return slopes, np.sqrt((residuals**2).sum(1) / (_WINDOW - 2) / spread)


def find_rate(cli: LightsegCLI, processes: int, device: int | None) -> Finding:
    """Return the learning rate that a range test suggests.

    Args:
        cli: The parsed recipe, whose task is trained.
        processes: Processes of the run, whose batches this one accumulates.
        device: Index of the GPU; None for another device.

    Raises:
        UserError: If the recipe or the data is wrong, or the loss does not fall.
    """
    test = RangeTest()
    _set_options(cli, STEPS, processes, device)
    trainer = make_trainer(cli, [], [test], [])
    _check(cli, trainer)
    trainer.fit(cli.model, datamodule=cli.datamodule)
    return choose_rate(test.rates, test.losses)


def find_batch_size(cli: LightsegCLI, processes: int, device: int | None) -> Finding:
    """Return the largest batch size that fits the memory, with a margin.

    Lightning's tuner may return a size that it has not tried, and knows no batch of several processes.

    Args:
        cli: The parsed recipe, whose task is trained.
        processes: Processes of the run.
        device: Index of the GPU; None for another device.

    Raises:
        UserError: If the recipe or the data is wrong, or no batch fits.
    """
    data, parts = cli.datamodule, processes * cli.config.trainer.accumulate_grad_batches
    # two images are mixed
    least = 2 if data.mixing else 1
    cli.config_init.trainer.accumulate_grad_batches, data.batch_size = 1, least
    _set_options(cli, _TRIAL_STEPS, 1, device)
    _check(cli, make_trainer(cli, [], [], []))
    limit = max(least, len(data.dataset("train")) // parts)

    def fits(size: int) -> bool:
        data.batch_size = size
        return _fits(cli)

    number = "one image" if least == 1 else "two images"
    require(fits(least), f"--find batch_size: not even {number} for each process fits the memory; give smaller images")
    # fitting, and too large
    low, high = least, limit + 1
    while high - low > 1:
        size = min(2 * low, limit) if high > limit else (low + high) // 2
        low, high = (size, high) if fits(size) else (low, size)
    if low == limit:
        return Finding(value=limit * parts, reason="all training images fit the memory at once")
    taken = max(least, int(_SHARE * low))
    reason = f"{100 * _SHARE:.0f} % of {low * parts}, the largest that fits the memory"
    return Finding(value=taken * parts, reason=reason)


def _check(cli: LightsegCLI, trainer: L.Trainer) -> None:
    """Take the trained models of the recipe, and check the data, as at the start of the run."""
    take_starting_point(cli, None)
    check_run(cli, trainer, {})


def _fits(cli: LightsegCLI) -> bool:
    """Return whether some steps of a training fit the memory."""
    try:
        make_trainer(cli, [], [], []).fit(cli.model, datamodule=cli.datamodule)
        is_fitting = True
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        is_fitting = False
    # outside of the handler, whose traceback holds the tensors
    cli.model.zero_grad()
    gc.collect()
    torch.cuda.empty_cache()
    return is_fitting


def _set_options(cli: LightsegCLI, steps: int, processes: int, device: int | None) -> None:
    """Let the trainer of a recipe take some steps on one device, without validation, callbacks or files.

    All steps have the same loss and train the same parameters; none of them waits for a validation.
    """
    cli.model.schedule, cli.model.schedule_interval = Constant(), None
    cli.model.loss.weights_from = 0.0
    if cli.model.freeze_encoder < 1:
        cli.model.freeze_encoder = 0.0
    trainer = cli.config_init.trainer
    options: dict[str, Any] = {
        "accumulate_grad_batches": trainer.accumulate_grad_batches * processes,
        "callbacks": None,
        "check_val_every_n_epoch": 1,
        "devices": 1 if device is None else [device],
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "fast_dev_run": False,
        "limit_val_batches": 0,
        "logger": False,
        "max_epochs": -1,
        "max_steps": steps,
        "max_time": None,
        "min_epochs": None,
        "min_steps": None,
        "num_nodes": 1,
        "num_sanity_val_steps": 0,
        "plugins": None,
        "profiler": None,
        "strategy": "auto",
        "sync_batchnorm": False,
        "val_check_interval": None,
    }
    for name, value in options.items():
        trainer[name] = value


def main() -> None:
    """Run the search that standard input describes; the last line of the output is the finding."""
    silence_lightning()
    supervision.stop_with_series()
    job = json.load(sys.stdin)
    add_import_path(job["arguments"])
    limit_threads()
    with replaced_internals():
        search = {"batch_size": find_batch_size, "lr": find_rate}[job["name"]]
        finding = search(LightsegCLI(job["arguments"]), job["processes"], job["device"])
    print(finding.model_dump_json(), flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main, imports_user_code=True))
