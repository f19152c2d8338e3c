"""Encoders of timm: the checked name, the arguments, and the mean and std that their weights expect."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lightseg.errors import ConfigError, did_you_mean
from lightseg.nets.base import Normalization, first_line
from lightseg.nets.weights import check_keys, fetching, is_file, read_file, spread, without


@dataclass(frozen=True)
class TimmEncoder:
    """Checked request for an encoder of timm: `timm.create_model(request.name, **request.kwargs)`.

    Attributes:
        name: timm's name, with the tag of the weights if there is one.
        kwargs: The user's arguments, the weights, and `dynamic_img_size` for a transformer that has it.
        normalization: Mean and standard deviation that the weights expect; None if they are random.
        weights: The name of the weights to fetch, or None.
    """

    name: str
    kwargs: dict[str, Any]
    normalization: Normalization | None
    weights: str | None = None

    @classmethod
    def request(
        cls, encoder: str, encoder_weights: str | None, in_channels: int, kwargs: dict[str, Any] | None = None
    ) -> "TimmEncoder":
        """Check an encoder and its weights, and make the request.

        Args:
            encoder: A name of timm, such as `resnet18` or `resnet18.a1_in1k`.
            encoder_weights: None; `imagenet` for the weights that the name's tag says; a tag; or a file.
            in_channels: Channels of the input.
            kwargs: More arguments for `timm.create_model`.

        Raises:
            ConfigError: timm has no such encoder or tag, or the file holds the weights of another architecture.
        """
        import timm

        if clash := _RESERVED & (kwargs or {}).keys():
            raise ConfigError(f"--model.net.kwargs: lightseg itself sets {', '.join(sorted(clash))}; leave it out.")
        name = _tagged(encoder, encoder_weights)
        # a model that timm never trained has no configuration: then timm's defaults, ImageNet's
        config = timm.models.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        arguments = _any_size(name, config, dict(kwargs or {}))
        if encoder_weights is None:
            return cls(name, arguments, None)
        normalization = spread(config.mean, config.std, in_channels)
        if not is_file(encoder_weights):
            return cls(name, {**arguments, "pretrained": True}, normalization, weights=name)
        overlay = {"state_dict": _checked_state(name, encoder_weights, config), "custom_load": False}
        # the file's own number of classes is no concern of ours: timm drops the classifier
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
        return cls(name, arguments, normalization)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Build the model in here, so that timm is quiet about dropped heads and a failed download has a clear message.

        Raises:
            ConfigError: The weights cannot be fetched.
        """
        logger = logging.getLogger("timm.models._builder")
        level = logger.level
        # a features-only model has no head for the head's weights; timm logs that as a warning
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
            ConfigError: timm refuses the arguments, or the weights cannot be fetched.
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
                f"timm cannot build {self.name} with {_plain(self.kwargs)}: {first_line(error)}"
            ) from error
        return forget_source(model)


def forget_source(model: nn.Module) -> nn.Module:
    """Drop the file's tensors from the configurations that timm leaves on a model, where each copy would hold them."""
    for module in model.modules():
        config = getattr(module, "pretrained_cfg", None)
        if isinstance(config, dict):
            config.pop("state_dict", None)
    return model


def image_sides(encoder: nn.Module, stride: int, kwargs: dict[str, Any]) -> tuple[int, int]:
    """Return the height and width of an image that a built encoder takes: its own if it takes no other.

    Args:
        encoder: A timm model, or a module with one as `model`.
        stride: The sides must be multiples of it.
        kwargs: The arguments that the encoder was built with.
    """
    config = getattr(getattr(encoder, "model", encoder), "pretrained_cfg", None) or {}
    sides = kwargs.get("img_size")
    # a transformer told to take any size takes one that suits the net around it, which its own may not
    if sides is None and config.get("fixed_input_size") and not kwargs.get("dynamic_img_size"):
        sides = config["input_size"][-2:]
    sides = sides or 8 * stride
    return (sides, sides) if isinstance(sides, int) else (sides[0], sides[1])


def reference(name: str, **kwargs: Any) -> Any:
    """Build a timm model without memory for its weights, to read names, shapes and sizes from."""
    import timm

    try:
        with torch.device("meta"):
            model = timm.create_model(name, **kwargs)
    # a few models compute with values while they are built
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


def _tagged(encoder: str, encoder_weights: str | None) -> str:
    """Return the architecture with the tag that the weights, or else the name, say; ConfigError for an unknown one."""
    import timm

    architecture, _, tag = encoder.partition(".")
    if not timm.is_model(architecture):
        raise ConfigError(
            f"timm has no encoder {encoder!r}{did_you_mean(architecture, timm.list_models(), otherwise=12)}"
        )
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if encoder_weights is not None and not is_file(encoder_weights):
        if not tags:
            raise ConfigError(f"timm has no weights for {architecture}: leave --model.net.encoder_weights out.")
        # the default tag moves from release to release: say which one it is
        default: Any = timm.models.get_pretrained_cfg(architecture)
        tag = encoder_weights if encoder_weights != "imagenet" else tag or default.tag
    if tag and tag not in tags:
        raise ConfigError(
            f"timm has no weights {tag!r} for {architecture}{did_you_mean(tag, ['imagenet', *tags], otherwise=12)}"
        )
    return f"{architecture}.{tag}" if tag else architecture


def _any_size(name: str, config: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Let a transformer that is made for one image size take any, where timm can do that."""
    if not config.fixed_input_size or kwargs.keys() & {"img_size", "dynamic_img_size", "strict_img_size"}:
        return kwargs
    try:
        reference(name, dynamic_img_size=True)
    except TypeError:
        return kwargs
    return {**kwargs, "dynamic_img_size": True}


def _checked_state(name: str, path: str, config: Any) -> dict[str, torch.Tensor]:
    names = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
    classifiers = tuple(f"{name}." for name in names)
    state = without(read_file(path), classifiers)
    # the whole architecture is the yardstick: a features-only model drops layers of it without a word
    check_keys(state, without(reference(name).state_dict(), classifiers), of=f"timm's {name} ({path})")
    return state


def _plain(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if not key.startswith("pretrained")}
