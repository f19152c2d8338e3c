"""Encoders of timm: checked names and arguments, and the mean and std that the weights expect."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lightseg.errors import ConfigError, did_you_mean
from lightseg.files.disk_cache import warn_on_rank_zero
from lightseg.files.printable import join_names
from lightseg.nets.base import Normalization, first_line
from lightseg.nets.fetching import fetching
from lightseg.nets.weights import (
    adapt_normalization,
    check_keys,
    drop_prefixes,
    is_export,
    is_file,
    read_file,
    split_export,
)


@dataclass(frozen=True)
class TimmEncoder:
    """Checked arguments of `timm.create_model` for an encoder.

    Attributes:
        name: timm's name, with the tag of the weights if it has one.
        kwargs: Keyword arguments: the user's, the weights, and `dynamic_img_size` for a transformer that supports it.
        normalization: Mean and standard deviation that the weights expect; None for random weights.
        weights: Name of the weights to download; None if there are none.
    """

    name: str
    kwargs: dict[str, Any]
    normalization: Normalization | None
    weights: str | None = None

    @classmethod
    def request(
        cls, encoder: str, encoder_weights: str | None, in_channels: int, kwargs: dict[str, Any] | None = None
    ) -> "TimmEncoder":
        """Check an encoder, its weights and its arguments.

        Args:
            encoder: A name of timm, such as `resnet18` or `resnet18.a1_in1k`.
            encoder_weights: None for random weights; `imagenet` for those of the name's tag; a tag; or a file.
            in_channels: Channels of the input.
            kwargs: Further arguments for `timm.create_model`.

        Raises:
            ConfigError: If timm has no such encoder or tag, the file has the weights of another architecture, or an
                argument is reserved.
        """
        import timm

        if clash := _RESERVED & (kwargs or {}).keys():
            raise ConfigError(f"model.net.kwargs: lightseg itself sets {', '.join(sorted(clash))}; leave it out")
        name = _resolve_name(encoder, encoder_weights)
        # models without pretrained weights have no configuration; timm's defaults are those of ImageNet
        config = timm.models.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        arguments = _allow_any_size(name, config, dict(kwargs or {}))
        if encoder_weights is None:
            return cls(name, arguments, None)
        if not is_file(encoder_weights):
            normalization = adapt_normalization(config.mean, config.std, in_channels)
            return cls(name, {**arguments, "pretrained": True}, normalization, weights=name)
        state, exported = _read_state(name, encoder_weights, config)
        normalization = adapt_normalization(*(exported or (config.mean, config.std)), in_channels)
        overlay = {"state_dict": state, "custom_load": False}
        # timm drops the classifier, so that its number of classes does not matter
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
        return cls(name, arguments, normalization)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Silence timm's warnings about dropped heads and translate download errors, within this context.

        Raises:
            ConfigError: If the weights cannot be downloaded.
        """
        logger = logging.getLogger("timm.models._builder")
        level = logger.level
        # timm warns that a features-only model does not use the weights of the head
        logger.setLevel(logging.ERROR)
        try:
            if self.weights is None:
                yield
            else:
                with fetching(f"the weights {self.weights} of timm", _SAVE.format(name=self.weights)):
                    yield
        finally:
            logger.setLevel(level)

    def build(self, in_channels: int, **more: Any) -> nn.Module:
        """Build the model.

        Args:
            in_channels: Channels of the input.
            **more: Further arguments for `timm.create_model`.

        Raises:
            ConfigError: If timm does not accept the arguments, or the weights cannot be downloaded.
        """
        import timm

        try:
            with self.loading():
                model: nn.Module = timm.create_model(self.name, in_chans=in_channels, **self.kwargs, **more)
        except ConfigError:
            raise
        # timm's constructors raise anything from AssertionError to TypeError
        except Exception as error:
            raise ConfigError(
                f"timm cannot build {self.name} with {_user_options(self.kwargs)}: {first_line(error)}"
            ) from error
        return forget_source(model)


def forget_source(model: nn.Module) -> nn.Module:
    """Drop the tensors of a weights file from the configurations that timm stores in a model, and return the model."""
    for module in model.modules():
        config = getattr(module, "pretrained_cfg", None)
        if isinstance(config, dict):
            config.pop("state_dict", None)
    return model


def image_sides(encoder: nn.Module, stride: int, kwargs: dict[str, Any]) -> tuple[int, int]:
    """Return the height and width of a valid input of an encoder: its fixed size, or a multiple of the stride.

    Args:
        encoder: A timm model, or a module with one as `model`.
        stride: Divisor of the sides.
        kwargs: Arguments that the encoder was built with.
    """
    config = getattr(getattr(encoder, "model", encoder), "pretrained_cfg", None) or {}
    sides = kwargs.get("img_size")
    # with any size allowed, the net around a transformer decides, as the pretraining size may not fit it
    if sides is None and config.get("fixed_input_size") and not kwargs.get("dynamic_img_size"):
        sides = config["input_size"][-2:]
    sides = sides or 8 * stride
    return (sides, sides) if isinstance(sides, int) else (sides[0], sides[1])


def reference(name: str, **kwargs: Any) -> Any:
    """Build a timm model without allocating its weights, to read names, shapes and sizes from."""
    import timm

    try:
        with torch.device("meta"):
            model = timm.create_model(name, **kwargs)
    # the constructors of a few models compute with values
    except (NotImplementedError, RuntimeError):
        model = timm.create_model(name, **kwargs)
    return model


_RESERVED = {
    *("in_chans", "num_classes", "features_only", "out_indices"),
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"),
}
_SAVE = (
    "import timm, safetensors.torch as s; "
    "s.save_file(timm.create_model('{name}', pretrained=True).state_dict(), 'encoder.safetensors')"
)


def _resolve_name(encoder: str, encoder_weights: str | None) -> str:
    """Return the architecture with the tag of the weights, or else of the name.

    Raises:
        ConfigError: If the architecture or the tag is unknown.
    """
    import timm

    architecture, _, tag = encoder.partition(".")
    if not timm.is_model(architecture):
        near = did_you_mean(architecture, timm.list_models(), otherwise=12)
        raise ConfigError(f"model.net.encoder: timm has no encoder {encoder!r}{near}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if encoder_weights is not None and not is_file(encoder_weights):
        if not tags:
            raise ConfigError(f"model.net.encoder_weights: timm has no weights for {architecture}; leave it out")
        # explicit, since the default tag changes between releases
        default: Any = timm.models.get_pretrained_cfg(architecture)
        tag = encoder_weights if encoder_weights != "imagenet" else tag or default.tag
    if tag and tag not in tags:
        raise ConfigError(
            f"timm has no weights {tag!r} for {architecture}{did_you_mean(tag, ['imagenet', *tags], otherwise=12)}"
        )
    return f"{architecture}.{tag}" if tag else architecture


def _allow_any_size(name: str, config: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with which a transformer takes any image size, where timm supports that."""
    if not config.fixed_input_size or kwargs.keys() & {"img_size", "dynamic_img_size", "strict_img_size"}:
        return kwargs
    try:
        reference(name, dynamic_img_size=True)
    except TypeError:
        return kwargs
    return {**kwargs, "dynamic_img_size": True}


def _read_state(name: str, path: str, config: Any) -> tuple[dict[str, torch.Tensor], Normalization | None]:
    """Read the weights of an encoder from a file, without the classifier, and the normalization if it has one.

    Raises:
        ConfigError: If they are those of another architecture.
    """
    layers = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
    classifiers = tuple(f"{layer}." for layer in layers)
    file = read_file(path)
    weights, normalization = split_export(file)
    state = drop_prefixes(weights, classifiers)
    # compared with the complete architecture, since a features-only model silently drops layers
    expected = drop_prefixes(reference(name).state_dict(), classifiers)
    if is_export(file):
        state = _complete(state, expected, name)
    check_keys(state, expected, owner=f"timm's {name} ({path})")
    return state, normalization


def _complete(state: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Return the weights of an export by timm's names, with new ones where its net had dropped layers.

    A warning names the new ones, which the net may drop again. The modules that give the feature maps of a model have
    it as `model`, or its `stages.0` as `stages_0`.

    Args:
        state: The weights of the encoder in the export.
        expected: State dict of the complete architecture, without the classifier.
        name: timm's name of it.
    """
    import timm

    names = {key.replace(".", "_"): key for key in expected}
    weights = {names.get(key.removeprefix("model.").replace(".", "_"), key): value for key, value in state.items()}
    if weights.keys().isdisjoint(expected) or weights.keys() >= expected.keys():
        return weights
    new = [key for key in expected if key not in weights]
    warn_on_rank_zero(
        f"model.net.encoder_weights: the net of the export had dropped layers of {name}, which start anew if this net "
        f"has them: {join_names(new, 3)}"
    )
    with torch.random.fork_rng(devices=[]):
        fresh = timm.create_model(name).state_dict()
    return {**{key: fresh[key] for key in expected}, **weights}


def _user_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if not key.startswith("pretrained")}
