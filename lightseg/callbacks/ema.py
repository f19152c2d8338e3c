"""Exponential moving average of the weights."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMA(WeightAveraging):
    """Validates, tests and saves an exponential moving average of the weights.

    Lightning's own `EMAWeightAveraging` updates tensor by tensor; this one updates all of them in one call.

    Args:
        decay: Share of the old average that each step keeps, 0 to 1.
        start: Optimiser step from which weights are averaged.

    Source: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """

    def __init__(self, decay: float = 0.999, start: int = 0) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.start = start

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether this optimiser step enters the average."""
        return step_idx is not None and step_idx >= self.start
