"""Options of a training that starts from trained weights: frozen stages and a learning rate for each layer."""

import math

from torch import nn

from lightseg.errors import require
from lightseg.nets.stages import encoder_depths
from lightseg.optim.param_groups import LayerDecay


class FrozenStages:
    """First stages of an encoder, whose parameters and BatchNorm statistics are not trained.

    Args:
        net: The net, whose parameters in these stages are frozen.
        count: Number of stages, from the stem on.

    Attributes:
        total: Number of stages of the encoder.

    Raises:
        ConfigError: If the net has no such stages.
    """

    def __init__(self, net: nn.Module, count: int) -> None:
        require(count >= 0, f"model.freeze_stages: must be 0 or more, got {count}")
        self.count, self.total = count, 0
        self._modules: list[nn.Module] = []
        if not count:
            return
        depths = encoder_depths(net, "model.freeze_stages", coarse=True)
        self.total = max(depths.values()) + 1
        require(
            count <= self.total,
            f"model.freeze_stages: must be at most {self.total}, the number of stages of this encoder, got {count}",
        )
        frozen = {parameter for name, parameter in net.named_parameters() if depths.get(name, count) < count}
        for parameter in frozen:
            parameter.requires_grad_(False)
        for module in net.modules():
            parameters = set(module.parameters())
            if parameters and parameters <= frozen:
                self._modules.append(module)

    def __bool__(self) -> bool:
        """Return whether a stage is frozen."""
        return self.count > 0

    def set_eval_mode(self) -> None:
        """Set the frozen modules to eval mode, which Lightning has set to training mode with the task."""
        for module in self._modules:
            module.eval()

    def __str__(self) -> str:
        """Return the option and its effect in a few words."""
        return f"{self.count} of {self.total} stages frozen"


def make_layer_decay(net: nn.Module, rate: float) -> LayerDecay | None:
    """Return the learning rate of each layer of a net's encoder; None for a rate of 1.

    Raises:
        ConfigError: If the rate is out of range, or the net has no encoder with known layers.
    """
    require(math.isfinite(rate) and 0 < rate <= 1, f"model.layer_decay: must be above 0 and at most 1, got {rate}")
    return None if rate == 1 else LayerDecay(rate, encoder_depths(net, "model.layer_decay"))
