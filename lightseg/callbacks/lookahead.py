"""Lookahead: weights that are periodically set to their slow average (Zhang et al. 2019)."""

from typing import Any

import lightning as L
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lightseg.errors import require
from lightseg.tasks import Task


class Lookahead(L.Callback):
    """Keeps a slow average of the weights and statistics of the net, and sets the net to it every few steps.

    An update multiplies the average by `decay**every * progress**power`, so that it changes more slowly towards the end
    of the training, and adds the rest of the current weights. The last step of an epoch sets the net to the average
    without an update.

    Args:
        every: Optimizer steps between two updates.
        decay: Decay of the average per step at the end of the training, 0 to 1.
        power: Exponent of the training's progress in the decay, at least 0.
        start: Share of the training before the first update, 0 to below 1.

    Raises:
        ConfigError: If an option is out of range.

    Source: Zhang et al. 2019, arXiv:1907.08610; with an average that grows slower, and over the statistics of BatchNorm
    too, Jordan 2024, arXiv:2404.00498, section 3.4, after hlb-CIFAR10. The defaults are those of the latter.
    """

    def __init__(self, every: int = 5, decay: float = 0.95, power: float = 3.0, start: float = 0.3) -> None:
        require(every >= 1, f"Lookahead: every: {every} is not a number of steps; give 1 or more")
        require(0 <= decay <= 1, f"Lookahead: decay: {decay} is no share of an average, 0 to 1")
        require(power >= 0, f"Lookahead: power: {power} would begin with an average that never moves; give 0 or more")
        require(0 <= start < 1, f"Lookahead: start: {start} is not a share of the training, 0 to below 1")
        self.every, self.decay, self.power, self.start = every, decay, power, start
        self._slow: list[Tensor] = []

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Update the average every `every` optimizer steps."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        is_time = trainer.global_step % self.every == 0 and task.progress > self.start
        if not is_time and not (trainer.is_last_batch and self._slow):
            return
        fast = [value for value in task.net.state_dict().values() if value.is_floating_point()]
        if not self._slow:
            self._slow = [value.clone() for value in fast]
            return
        # a resumed state is on the CPU
        self._slow = [value.to(fast[0].device) for value in self._slow]
        if is_time:
            update = get_ema_multi_avg_fn(self.decay**self.every * task.progress**self.power)
            # the number of averages is unused
            update(self._slow, fast, 0)
        for value, average in zip(fast, self._slow, strict=True):
            value.copy_(average)

    def state_dict(self) -> dict[str, Any]:
        """Return the average."""
        return {"slow": self._slow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the average of a checkpoint."""
        self._slow = state["slow"]
