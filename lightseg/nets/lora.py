"""Low-rank adapters (LoRA) of the layers of an encoder, by peft, and their tensors in a state dict."""

import math
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.files.printable import printable_line

LoraOptions = dict[str, int | float | str | list[str]]
"""Options of adapters as a recipe has them, see `Lora`."""

_BASE, _DOWN, _UP = ".base_layer.", ".lora_A.default.", ".lora_B.default."
"""Parts of the names of a layer's tensors and of its adapter's two matrices."""


class Lora(NamedTuple):
    """Options of low-rank adapters, which add `alpha / rank * up(down(x))` to the output of a layer.

    Attributes:
        rank: Outputs of `down`, 1 or more.
        alpha: Numerator of the factor of the adapters, above 0.
        dropout: Dropout of the adapters' input in training, from 0 to below 1.
        targets: Names of layers, or the last parts of them, such as `qkv` or `blocks.11.mlp.fc1`.
        save: What checkpoints hold: `all`, or `adapters`, without the weights that are those of `model.init`.

    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("qkv", "proj", "fc1", "fc2")
    save: str = "all"

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> "Lora":
        """Return the options of a recipe, with the defaults of those that it lacks.

        Raises:
            ConfigError: If one is unknown, out of range or of another type.
        """
        for name in options:
            require(name in cls._fields, f"model.lora: no option '{name}'{did_you_mean(str(name), cls._fields, 4)}")
        lora = cls(**options)
        for name, is_valid, expected in (
            ("rank", type(lora.rank) is int and lora.rank >= 1, "an integer of 1 or more"),
            ("alpha", _is_number(lora.alpha) and lora.alpha > 0, "above 0"),
            ("dropout", _is_number(lora.dropout) and 0 <= lora.dropout < 1, "from 0 to below 1"),
            ("targets", _are_names(lora.targets), "a list of names of layers, such as [qkv, proj]"),
            ("save", lora.save in ("all", "adapters"), "all or adapters"),
        ):
            require(is_valid, f"model.lora.{name}: must be {expected}, got {getattr(lora, name)}")
        return lora._replace(targets=tuple(lora.targets))

    @property
    def scale(self) -> float:
        """Factor of the product of an adapter's matrices."""
        return self.alpha / self.rank


def add_adapters(net: nn.Module, lora: Lora) -> list[str]:
    """Put adapters on layers of a net's encoder, and freeze everything else of the encoder.

    At first they change no output. Layers that are frozen before, such as those that the net does not use, have none.

    Args:
        net: The net, changed in place.
        lora: The options.

    Returns:
        The names of the layers in the encoder.

    Raises:
        ConfigError: If the net has no encoder or no such layer, the rank is too large, or peft is not installed.
    """
    encoder = getattr(net, "encoder", None)
    if encoder is None:
        raise ConfigError(f"model.lora: {type(net).__name__} has no encoder; leave the option out")
    layers = _find_layers(encoder, lora.targets)
    limit = max(min(encoder.get_submodule(layer).weight.shape[:2]) for layer in layers)
    require(lora.rank <= limit, f"model.lora.rank: must be at most {limit}, the rank of the layers, got {lora.rank}")
    require(find_spec("peft") is not None, "model.lora: peft is not installed; pip install 'lightseg[lora]'")
    # it imports transformers, which takes seconds
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=layers)
    inject_adapter_in_model(config, encoder)
    return layers


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name that each tensor has in the net without adapters; for those of an adapter, the layer's weight.

    Args:
        names: Names in a net with or without adapters.
    """
    names = list(names)
    layers, plain = {*_adapted_layers(names)}, dict[str, str]()
    for name in names:
        plain[name] = name
        for part in (_BASE, _DOWN, _UP):
            layer, _, last = name.rpartition(part)
            if layer in layers:
                plain[name] = f"{layer}.{last}"
    return plain


def base_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name in the net without adapters, as `plain_names`, of each tensor that this net has."""
    names = list(names)
    adapters = {f"{layer}{part}weight" for layer in _adapted_layers(names) for part in (_DOWN, _UP)}
    return {name: plain for name, plain in plain_names(names).items() if name not in adapters}


def base_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without the tensors of adapters, with the names in a net without adapters."""
    return {plain: state[name] for name, plain in base_names(state).items()}


def load_base_state(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the state dict of a net without adapters; adapters of the net are not changed."""
    current = net.state_dict()
    net.load_state_dict({**current, **{name: state[plain] for name, plain in base_names(current).items()}})


def merge_state(state: Mapping[str, Tensor], lora: Lora) -> dict[str, Tensor]:
    """Return the state dict of the net without adapters that has the same output: each weight plus its adapter.

    Args:
        state: State dict of a net with adapters; it is not changed.
        lora: Their options.

    Raises:
        ConfigError: If the tensors of an adapter do not fit its layer.
    """
    merged = base_state(state)
    for layer in _adapted_layers(state):
        try:
            weight, down, up = (state[f"{layer}{part}weight"] for part in (_BASE, _DOWN, _UP))
            # in double precision, since a sum of rounded products would be rounded once more
            update = lora.scale * up.double().flatten(1) @ down.double().flatten(1)
            merged[f"{layer}.weight"] = (weight.double() + update.view(weight.shape)).to(weight.dtype)
        except (KeyError, RuntimeError, IndexError):
            name = printable_line(layer)[:80]
            raise ConfigError(
                f"model.lora: the adapter of {name} does not fit the layer; the file is damaged"
            ) from None
    return merged


def _find_layers(encoder: nn.Module, targets: tuple[str, ...]) -> list[str]:
    """Return the names of the layers of an encoder that are targets.

    Raises:
        ConfigError: If there is none, or none for one of the targets of a recipe.
    """
    candidates = [name for name, module in encoder.named_modules() if _takes_adapter(module)]
    matches = {target: [name for name in candidates if f".{name}".endswith(f".{target}")] for target in targets}
    layers = [name for name in candidates if any(name in names for names in matches.values())]
    unmatched_targets = [target for target, names in matches.items() if not names]
    if not layers or (unmatched_targets and targets != Lora().targets):
        last_parts = sorted({name.rpartition(".")[2] for name in candidates})
        raise ConfigError(
            f"model.lora.targets: no linear layer or 1×1 convolution of {type(encoder).__name__} that is trained has "
            f"the name {unmatched_targets[0]}{did_you_mean(unmatched_targets[0], last_parts, 12)}"
        )
    return layers


def _takes_adapter(module: nn.Module) -> bool:
    """Return whether a layer is trained, and linear at each place."""
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1) and module.groups == 1 and module.weight.requires_grad
    return isinstance(module, nn.Linear) and module.weight.requires_grad


def _adapted_layers(names: Iterable[str]) -> list[str]:
    return [name.removesuffix(f"{_DOWN}weight") for name in names if name.endswith(f"{_DOWN}weight")]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(name, str) and name for name in value)
