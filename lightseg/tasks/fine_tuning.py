"""Options of a training that starts from trained weights: frozen stages, a learning rate for each layer, adapters."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightseg.errors import require
from lightseg.nets.lora import Lora, LoraOptions, add_adapters
from lightseg.nets.stages import encoder_depths
from lightseg.optim.param_groups import LayerDecay

_STATES = {"state_dict", "current_model_state"}
"""Parts of a checkpoint with the weights; that of a training with averaged weights has two."""


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


class SharedWeights(NamedTuple):
    """Frozen weights that the checkpoints of a training leave to the file that it starts from.

    Attributes:
        file: The file.
        sha256: Its hash.
        tensors: Names of the tensors in the state dict of the task.
    """

    file: str
    sha256: str
    tensors: list[str]

    def leave_out(self, checkpoint: dict[str, Any]) -> None:
        """Remove the weights from a checkpoint, and record where they are."""
        state = checkpoint["state_dict"]
        # a training with weights of lower precision has rounded them
        names = [name for name in self.tensors if state[name].dtype == torch.float32]
        left_out = {*names}
        for part in _STATES & checkpoint.keys():
            checkpoint[part] = {name: value for name, value in checkpoint[part].items() if name not in left_out}
        if "lightseg" in checkpoint:
            checkpoint["lightseg"]["shared"] = self._replace(tensors=names)._asdict()

    def complete(self, checkpoint: dict[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Add the weights to a checkpoint."""
        for part in _STATES & checkpoint.keys():
            checkpoint[part] = {**checkpoint[part], **weights}


class Adapters:
    """Low-rank adapters of layers of an encoder, beside which nothing of the encoder is trained.

    Args:
        net: The net, whose encoder gets the adapters.
        options: `model.lora`; None for no adapters.

    Attributes:
        lora: The options; None without adapters.

    Raises:
        ConfigError: If an option is wrong, the net has no layer for adapters, or peft is not installed.
    """

    def __init__(self, net: nn.Module, options: LoraOptions | None) -> None:
        self.lora = None if options is None else Lora.parse(options)
        self._layers: dict[str, nn.Module] = {}
        self._frozen: list[nn.Module] = []
        self._counts = 0, 0
        if self.lora is None:
            return
        names = add_adapters(net, self.lora)
        encoder = net.get_submodule("encoder")
        self._layers = {name: encoder.get_submodule(name) for name in names}
        self._frozen = [module for module in encoder.modules() if getattr(module, "running_mean", None) is not None]
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in net.parameters()]
        self._counts = sum(size for size, is_trained in sizes if is_trained), sum(size for size, _ in sizes)

    def __bool__(self) -> bool:
        """Return whether there are adapters."""
        return self.lora is not None

    def set_eval_mode(self) -> None:
        """Set normalizations with statistics of the encoder to eval mode, so that these do not change."""
        for module in self._frozen:
            module.eval()

    @contextmanager
    def require_calls(self) -> Iterator[None]:
        """Check that the net calls each layer with an adapter, within this context.

        Raises:
            ConfigError: If it reads the weight of one instead, so that the adapter has no effect.
        """
        uncalled_layers = dict(self._layers)
        handles = [
            layer.register_forward_hook(lambda *_, name=name: uncalled_layers.pop(name, None) and None)
            for name, layer in self._layers.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        name = next(iter(uncalled_layers), "")
        require(
            not uncalled_layers,
            f"model.lora.targets: the encoder reads the weights of {name} without calling the layer, so that an "
            f"adapter has no effect; give targets without {name.rpartition('.')[2]}",
        )

    def __str__(self) -> str:
        """Return the option and its effect in a few words."""
        rank = self.lora.rank if self.lora else 0
        trained, total = (count / 1e6 for count in self._counts)
        return f"LoRA of rank {rank} on {len(self._layers)} layers ({trained:.2f} of {total:.2f} M parameters trained)"


def require_one_freeze(net: nn.Module, lora: LoraOptions | None, freeze_encoder: float, freeze_stages: int) -> None:
    """Check that nothing that freezes the encoder leaves another option without effect.

    Raises:
        ConfigError: If it does.
    """
    require(
        lora is None or not (freeze_encoder or freeze_stages),
        f"model.freeze_{'encoder' if freeze_encoder else 'stages'}: model.lora freezes all of the encoder but its "
        "adapters; leave one of them out",
    )
    require(
        freeze_encoder < 1 or not freeze_stages,
        "model.freeze_stages: model.freeze_encoder: 1 freezes all stages throughout; leave one of them out",
    )
    require(
        freeze_encoder < 1 or not getattr(net, "grad_checkpointing", False),
        "model.net.grad_checkpointing: an encoder that is frozen throughout has no backward pass; leave it or "
        "model.freeze_encoder out",
    )


def make_layer_decay(net: nn.Module, rate: float) -> LayerDecay | None:
    """Return the learning rate of each layer of a net's encoder; None for a rate of 1.

    Raises:
        ConfigError: If the rate is out of range, or the net has no encoder with known layers.
    """
    require(math.isfinite(rate) and 0 < rate <= 1, f"model.layer_decay: must be above 0 and at most 1, got {rate}")
    return None if rate == 1 else LayerDecay(rate, encoder_depths(net, "model.layer_decay"))
