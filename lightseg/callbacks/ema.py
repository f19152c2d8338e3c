"""Exponential moving average of the weights."""

from itertools import chain

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class EMA(WeightAveraging):
    """Validates, tests and saves an exponential moving average of the weights and statistics.

    Indices and counts of the net are those of the last step. Lightning's own `EMAWeightAveraging` updates tensor by
    tensor; this one updates all of them in one call.

    Args:
        decay: Share of the old average that each step keeps, 0 to 1.

    Source: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self._update = get_ema_multi_avg_fn(decay)

    def setup(self, trainer: L.Trainer, task: L.LightningModule, stage: str) -> None:
        """Create the averaged copy of the task."""
        if stage == "fit":
            self._average_model = _Average(task, task.device, multi_avg_fn=self._update, use_buffers=True)


class _Average(AveragedModel):
    """Average of a module; that of torch reads its update count from the device in every update."""

    _has_begun = False

    def update_parameters(self, model: nn.Module) -> None:
        """Update the average by the module's weights and buffers; the first call copies them."""
        # a resumed training has an average
        self._has_begun = self._has_begun or bool(self.n_averaged > 0)
        if not self._has_begun:
            super().update_parameters(model)
            self._has_begun = True
            return
        kinds: dict[object, tuple[list[Tensor], list[Tensor]]] = {}
        for average, current in zip(_tensors(self.module), _tensors(model), strict=True):
            averages, currents = kinds.setdefault(average.dtype, ([], []))
            averages.append(average.detach())
            currents.append(current.detach())
        assert self.multi_avg_fn is not None
        for averages, currents in kinds.values():
            if averages[0].is_floating_point():
                self.multi_avg_fn(averages, currents, self.n_averaged)
            else:
                # indices and counts, whose mean would be rounded down
                for average, current in zip(averages, currents, strict=True):
                    average.copy_(current)
        self.n_averaged += 1


def _tensors(module: nn.Module) -> chain[Tensor]:
    return chain(module.parameters(), module.buffers())
