"""Exponential moving average of the weights."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMA(WeightAveraging):
    """Validates, tests and saves an exponential moving average of the weights.

    Lightning's own `EMAWeightAveraging` updates tensor by tensor; this one updates all of them in one call.

    Args:
        decay: Share of the old average that each step keeps, 0 to 1.

    Source: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))
