"""Depth of each parameter of an encoder, counted from the image, in layers or in stages."""

from typing import Any

from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets.lora import plain_names


def encoder_depths(net: nn.Module, option: str, coarse: bool = False) -> dict[str, int]:
    r"""Return the depth of each parameter of a net's encoder, 0 for the stem, by its name in the net.

    The layers are those of timm's `group_matcher`, which a custom encoder may have too: it takes `coarse` and returns a
    regular expression for each part, such as `{"stem": r"^stem", "blocks": r"^blocks\.(\d+)"}`.

    Args:
        net: The net.
        option: The option that needs the depths, for messages.
        coarse: Count stages instead of layers.

    Raises:
        ConfigError: If the net has no encoder, or the layers of the encoder are unknown.
    """
    from timm.models import group_parameters

    encoder = getattr(net, "encoder", None)
    if encoder is None:
        raise ConfigError(f"{option}: {type(net).__name__} has no encoder; leave the option out")
    model: Any = encoder
    while not hasattr(model, "group_matcher") and isinstance(getattr(model, "model", None), nn.Module):
        model = model.model
    # the feature maps of a pyramidal model of timm come from a module that has lost the matcher
    layered = model if hasattr(model, "group_matcher") else _complete_model(model)
    if hasattr(layered, "group_matcher"):
        by_name = group_parameters(layered, layered.group_matcher(coarse=coarse), reverse=True)
        # an adapter has the depth of its layer
        flat = {name: _flat(plain) for name, plain in plain_names(by_name).items()}
        depths = {flat[name]: depth for name, depth in by_name.items()}
        parameters = dict(model.named_parameters())
        plain = plain_names(parameters)
        by_parameter = {parameter: depths.get(_flat(plain[name])) for name, parameter in parameters.items()}
        inside = set(encoder.parameters())
        in_net = {name: by_parameter.get(item) for name, item in net.named_parameters() if item in inside}
        parameter_depths = {name: depth for name, depth in in_net.items() if depth is not None}
        if parameter_depths.keys() == in_net.keys():
            # the net may have fewer layers than the complete model
            ranks = {depth: rank for rank, depth in enumerate(sorted(set(parameter_depths.values())))}
            return {name: ranks[depth] for name, depth in parameter_depths.items()}
    raise ConfigError(
        f"{option}: the stages of the encoder of {type(net).__name__}, {type(model).__name__}, are unknown; leave it "
        "out, or choose an encoder of timm (SmpNet: with the prefix tu-)"
    )


def _complete_model(model: nn.Module) -> Any:
    """Return the model of timm, without memory, whose feature maps a module gives; None if it is not of timm."""
    from lightseg.nets.timm_encoder import reference

    config = getattr(model, "pretrained_cfg", None) or {}
    return reference(config["architecture"]) if "architecture" in config else None


def _flat(name: str) -> str:
    # `stages.0` of a model is `stages_0` of the module that gives its feature maps
    return name.replace(".", "_")
