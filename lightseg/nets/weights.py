"""Pretrained weights from a checked local file."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lightseg.errors import ConfigError
from lightseg.files.disk_cache import warn_on_rank_zero
from lightseg.files.pickles import refused_class
from lightseg.files.printable import join_names
from lightseg.nets.base import Normalization, first_line
from lightseg.nets.lora import base_state

IMAGENET: Normalization = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION: Normalization = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
_ENCODER = "net.encoder."
"""Start of the names of an encoder's weights in a file of lightseg."""

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def is_file(source: str) -> bool:
    """Return whether a string is the path of a file, and not the name of weights such as `imagenet`."""
    return source.endswith(_SUFFIXES) or "/" in source or "\\" in source


def read_file(path: str) -> dict[str, Tensor]:
    """Read a state dict from a `.safetensors`, `.pt` or `.pth` file, without executing code from it.

    Args:
        path: The file. A `.pt` or `.pth` file holds the state dict itself, or a dict with it under `state_dict`.

    Raises:
        ConfigError: If the file is missing, damaged, or not a state dict.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"model.net.encoder_weights: there is no file {file}")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message advises to run the code of the file
        name = refused_class(error)
        fault = f"refused: it holds more than tensors{name}" if name else "cannot be read as weights: no file of torch"
        raise ConfigError(f"model.net.encoder_weights: {file}: {fault}; save `model.state_dict()` alone") from None
    # a damaged file raises anything from EOFError to SafetensorError
    except Exception as error:
        raise ConfigError(
            f"model.net.encoder_weights: {file}: cannot be read as weights: {first_line(error)}"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(
            f"model.net.encoder_weights: {file}: holds no state dict (names and tensors); save one with "
            "`model.state_dict()`"
        )
    if len(base_state(state)) < len(state):
        raise ConfigError(
            f"model.net.encoder_weights: {file}: has adapters beside its weights; take model.init, or an export, in "
            "which they are merged"
        )
    return dict(state)


def split_export(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Normalization | None]:
    """Return the encoder's weights of an export or checkpoint of lightseg, and its mean and standard deviation.

    Args:
        state: The weights of a file.

    Returns:
        The weights with the names in the encoder, and the normalization; the weights of other files as they are, and
        None.

    Raises:
        ConfigError: If the normalization is damaged.
    """
    encoder = _part(state, _ENCODER)
    return (encoder, _normalization(state)) if encoder else (dict(state), None)


def is_export(state: Mapping[str, Tensor]) -> bool:
    """Return whether the weights of a file are an export or checkpoint of lightseg with an encoder."""
    return any(name.startswith(_ENCODER) for name in state)


def _part(state: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, by their names without it."""
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


def _normalization(state: Mapping[str, Tensor]) -> Normalization | None:
    mean, std = state.get("mean"), state.get("std")
    if mean is None or std is None:
        return None
    is_plain = mean.dtype in _FLOATS and std.dtype in _FLOATS and mean.numel() == std.numel()
    if not (is_plain and mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise ConfigError("model.net.encoder_weights: mean or std in this file is damaged; take another file")
    return tuple(mean.flatten().tolist()), tuple(std.flatten().tolist())


def drop_prefixes(state: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """Return a state dict without the tensors whose names start with one of the prefixes."""
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


def check_keys(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], owner: str) -> None:
    """Check that weights have the names and shapes of an architecture.

    Args:
        state: The weights of a file.
        expected: State dict of the architecture.
        owner: Name of the architecture, for the message.

    Raises:
        ConfigError: If a name is missing or unexpected, a shape or kind of number differs, or a weight is not finite;
            the message names a few of them.
    """
    faults = {
        # torch adds the counters that old checkpoints lack
        "missing": [k for k in expected if k not in state and not k.endswith("num_batches_tracked")],
        "unexpected": [k for k in state if k not in expected],
        "of another shape": [
            f"{k} {tuple(state[k].shape)} instead of {tuple(expected[k].shape)}"
            for k in expected
            if k in state and state[k].shape != expected[k].shape
        ],
        "of another kind of number": [
            f"{k} {state[k].dtype}"
            for k in expected
            if k in state and expected[k].is_floating_point() and state[k].dtype not in _FLOATS
        ],
    }
    if not any(faults.values()):
        faults["with NaN or infinity"] = [k for k in expected if k in state and not state[k].isfinite().all()]
    if any(faults.values()):
        details = "; ".join(f"{len(keys)} {fault}: {join_names(keys, 3)}" for fault, keys in faults.items() if keys)
        raise ConfigError(f"model.net.encoder_weights: these are not the weights of {owner}: {details}")


def load_encoder_weights(
    module: nn.Module, path: str, *, owner: str, in_channels: int = 3, classifiers: tuple[str, ...] = ()
) -> Normalization | None:
    """Load the weights of a file into a module; all names must match, except those of the classifier.

    Args:
        module: The module, changed in place.
        path: A `.safetensors`, `.pt` or `.pth` file of weights for RGB, or for `in_channels` channels; or an exported
            file or checkpoint of lightseg with such an encoder.
        owner: Name of the architecture, for the message.
        in_channels: Input channels of the module; the first convolution's RGB weights are adapted to them as in timm:
            summed for 1 channel, else repeated and rescaled.
        classifiers: Name prefixes of the classifier's weights, which are neither required nor loaded.

    Returns:
        Mean and standard deviation of a file of lightseg; None for other files.

    Raises:
        ConfigError: See `read_file` and `check_keys`.
    """
    full_state = module.state_dict()
    expected = drop_prefixes(full_state, classifiers)
    weights, normalization = split_export(read_file(path))
    state = drop_prefixes(weights, classifiers)
    for key in expected.keys() & state.keys():
        state[key] = _adapt_channels(state[key], expected[key], in_channels)
    check_keys(state, expected, owner=f"{owner} ({path})")
    module.load_state_dict({**full_state, **state})
    return normalization


def load_fitting_weights(
    module: nn.Module, path: str, *, start: str, owner: str, in_channels: int
) -> Normalization | None:
    """Load those weights of an export or checkpoint of lightseg whose names and shapes are those of a module.

    The others start as they do without; a warning names them.

    Args:
        module: The module, changed in place.
        path: The file.
        start: Start of the names of the module's weights in the file, such as `net.encoder.`.
        owner: Name of the module, for messages.
        in_channels: Input channels of the module; the weights of a layer on the image are adapted to them, as
            `adapt_input` does.

    Returns:
        Mean and standard deviation of the file, for `in_channels` channels; None if it has none.

    Raises:
        ConfigError: If it is no file, or no weight with two dimensions or more fits.
    """
    if not is_file(path):
        raise ConfigError(
            f"model.net.encoder_weights: {owner} has no weights by the name {path}; give an exported file of lightseg"
        )
    file, full_state = read_file(path), module.state_dict()
    state, normalization = _part(file, start), _normalization(file)
    channels = len(normalization[0]) if normalization else 3
    fitting = _select_fitting(state, full_state, channels, in_channels)
    if not any(value.ndim > 1 for value in fitting.values()):
        reason = "the shapes differ" if state.keys() & full_state.keys() else f"it has none of the names {start}…"
        raise ConfigError(
            f"model.net.encoder_weights: no weight of {path} fits {owner}: {reason}; take the net and the options of "
            "that run, or leave it out"
        )
    module.load_state_dict({**full_state, **fitting})
    if new := [name for name in full_state if name not in fitting]:
        warn_on_rank_zero(
            f"model.net.encoder_weights: {len(fitting)} of {len(full_state)} tensors of {owner} are from {path}; new: "
            f"{join_names(new, 3)}"
        )
    return normalization and adapt_normalization(*normalization, in_channels)


def _select_fitting(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], channels: int, in_channels: int
) -> dict[str, Tensor]:
    """Return the tensors with a name and a shape of a module.

    Args:
        state: Tensors of a file.
        expected: State dict of the module.
        channels: Channels of the images of the file.
        in_channels: Those of the module, to which layers on the image are adapted.
    """
    fitting: dict[str, Tensor] = {}
    for name in expected.keys() & state.keys():
        value, target = state[name], expected[name]
        reads_images = value.ndim == 4 and (value.shape[1], target.shape[1]) == (channels, in_channels)
        if reads_images and channels != in_channels:
            value = adapt_input(value, in_channels)
        if value.shape == target.shape:
            fitting[name] = value
    return fitting


def adapt_input(weight: Tensor, in_channels: int) -> Tensor:
    """Adapt the weights of a convolution on images to another number of channels, as timm does for RGB.

    They are summed for one channel, and else repeated cyclically and rescaled to keep the scale of the output.

    Args:
        weight: `(O, I, H, W)`.
        in_channels: Number of channels C.

    Returns:
        `(O, C, H, W)`.
    """
    channels = weight.shape[1]
    if in_channels == 1:
        return weight.sum(1, keepdim=True)
    repeated = weight.repeat(1, -(-in_channels // channels), 1, 1)[:, :in_channels]
    return repeated * (channels / in_channels)


def adapt_normalization(mean: Sequence[float], std: Sequence[float], in_channels: int) -> Normalization:
    """Adapt the mean and standard deviation of RGB to another number of channels.

    The first convolution is adapted by summing over RGB for one channel, and else by repeating RGB; so one channel has
    the average of RGB, and several have the values of RGB cyclically.

    Args:
        mean: Mean per RGB channel, `(3,)`, on the 0..1 scale.
        std: Standard deviation per RGB channel, likewise.
        in_channels: Number of channels C.

    Returns:
        Mean and standard deviation, `(C,)` each.
    """
    if in_channels == 1:
        return (sum(mean) / len(mean),), (sum(std) / len(std),)
    sources = [channel % len(mean) for channel in range(in_channels)]
    return tuple(float(mean[i]) for i in sources), tuple(float(std[i]) for i in sources)


def _adapt_channels(value: Tensor, target: Tensor, in_channels: int) -> Tensor:
    is_rgb_stem = value.ndim == 4 and value.shape[1] == 3 and target.shape[1:2] == (in_channels,)
    return adapt_input(value, in_channels) if is_rgb_stem and in_channels != 3 else value
