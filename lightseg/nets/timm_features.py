"""Feature maps of timm's models at several depths."""

from typing import Any

from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets.heads import Levels

_COUNT = 4
"""Number of maps that a head takes, if the encoder has as many."""

_FINEST = 4
"""Least stride of a map, if the encoder has one of it or a larger stride; finer maps cost much and add little."""


def choose_levels(model: nn.Module, name: str) -> tuple[list[int], Levels]:
    """Choose the feature maps that a head takes.

    Of a pyramidal model, these are the last map of each stride of 4 or more, at most four; of a plain transformer, the
    maps behind each quarter of its blocks.

    Args:
        model: A model of timm.
        name: Its name, for the message.

    Returns:
        The indices for `forward_intermediates`, and channels and strides of the maps.

    Raises:
        ConfigError: If the model has no feature maps.
    """
    info: Any = getattr(model, "feature_info", None)
    if not hasattr(model, "forward_intermediates") or not info:
        raise ConfigError(
            f"model.net.encoder: timm {_version()} gives no intermediate feature maps of {name}; choose another encoder"
        )
    strides = [int(entry["reduction"]) for entry in info]
    count = len(strides)
    if len(set(strides)) == 1:
        indices = sorted({max(quarter * count // _COUNT - 1, 0) for quarter in range(1, _COUNT + 1)})
    else:
        last = {stride: index for index, stride in enumerate(strides)}
        coarse = [last[stride] for stride in sorted(last) if stride >= _FINEST] or [count - 1]
        indices = coarse[-_COUNT:]
    channels = tuple(int(info[index]["num_chs"]) for index in indices)
    return indices, Levels(channels, tuple(strides[index] for index in indices))


def remove_unused(model: Any, indices: list[int], keeps_norm: bool) -> None:
    """Remove the layers behind the last feature map, such as those that pool it, where timm supports that.

    Args:
        model: A model of timm, changed in place.
        indices: Indices of the feature maps.
        keeps_norm: Whether the last normalization is used.
    """
    if hasattr(model, "prune_intermediate_layers"):
        model.prune_intermediate_layers(indices, prune_norm=not keeps_norm, prune_head=True)


def _version() -> str:
    import timm

    return str(timm.__version__)
