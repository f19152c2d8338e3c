"""Transfer of trained weights to a net of other classes, channels, options or another task."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from lightseg.errors import ConfigError
from lightseg.files.printable import join_names, printable_line
from lightseg.nets.weights import adapt_input

_How = Literal["equal", "adapted", "by_class"]
"""Parts of the report with tensors that are taken."""


class Origin(NamedTuple):
    """Trained net from whose weights a training starts.

    Attributes:
        source: The file, for messages.
        net: Name of the class of the net.
        state: State dict of the net.
        classes: Class names.
        in_channels: Channels of an image.
        mean: Mean per channel on the 0..1 scale; None if unknown.
        std: Standard deviation per channel, likewise.
    """

    source: str
    net: str
    state: Mapping[str, Tensor]
    classes: Sequence[str]
    in_channels: int
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None


class Target(NamedTuple):
    """Net that takes over weights.

    Attributes:
        classes: Class names.
        in_channels: Channels of an image.
        class_tensors: Names of the tensors whose shape depends on the number of classes.
    """

    classes: Sequence[str]
    in_channels: int
    class_tensors: Collection[str] = ()


class Report(NamedTuple):
    """Names of the tensors that a transfer has taken, and of those that it has not.

    Attributes:
        origin: The trained net.
        target: The net that takes over weights.
        equal: Tensors taken as they are.
        adapted: Tensors taken with another number of input channels.
        by_class: Tensors taken in the rows of the classes that both nets have.
        new: Tensors of the net that start as without the transfer.
        left: Tensors of the origin that are not taken.
    """

    origin: Origin
    target: Target
    equal: Sequence[str]
    adapted: Sequence[str]
    by_class: Sequence[str]
    new: Sequence[str]
    left: Sequence[str]

    def __str__(self) -> str:
        """Return the report in one line."""
        origin, target = self.origin, self.target
        taken = len(self.equal) + len(self.adapted) + len(self.by_class)
        parts = [f"init: {taken} of {taken + len(self.new)} tensors from {origin.source}"]
        if self.adapted:
            parts.append(f"{origin.in_channels} -> {target.in_channels} channels: {_list(self.adapted)}")
        if self.by_class:
            common = [name for name in target.classes if name in origin.classes]
            parts.append(f"by class: {_list(self.by_class)}; classes taken: {_list(common)}")
            new = [name for name in target.classes if name not in common]
            parts += [f"classes new: {_list(new)}"] if new else []
            left = [name for name in origin.classes if name not in common]
            parts += [f"classes left: {_list(left)}"] if left else []
        parts += [f"new: {_list(self.new)}"] if self.new else []
        parts += [f"left: {_list(self.left)}"] if self.left else []
        return "; ".join(parts)


class _Fit(NamedTuple):
    """Tensor of the trained net as the net takes it, and the part of the report that names it."""

    how: _How
    value: Tensor


def transfer(state: Mapping[str, Tensor], target: Target, origin: Origin) -> tuple[dict[str, Tensor], Report]:
    """Return the state dict of a net with the weights of another one, and what was taken.

    A tensor is taken if name and shape agree. A tensor that depends on the classes is taken in the rows of the classes
    whose names agree. The weights of a layer on the image are adapted to another number of channels, see `adapt_input`.
    A bias is taken with the weight of its layer or not at all. Integers, which count or index, are not taken.

    Args:
        state: State dict of the net as it starts without the transfer; it is not changed.
        target: Classes and channels of the net.
        origin: The trained net.

    Raises:
        ConfigError: If no weight with two dimensions or more can be taken.
    """
    weights = {name: value for name, value in state.items() if value.is_floating_point()}
    fits = {name: fit for name, value in weights.items() if (fit := _fit(name, value, target, origin))}
    orphans = {name for name in fits if _weight_of(name) in weights.keys() - fits.keys()}
    taken = {name: fit for name, fit in fits.items() if name not in orphans}
    if not any(weights[name].ndim > 1 for name in taken):
        raise ConfigError(_describe_misfit(weights, origin))
    equal, adapted, by_class = ([name for name, fit in taken.items() if fit.how == how] for how in get_args(_How))
    report = Report(
        *(origin, target, equal, adapted, by_class),
        new=[name for name in weights if name not in taken],
        left=[name for name, value in origin.state.items() if value.is_floating_point() and name not in taken],
    )
    return {**state, **{name: fit.value for name, fit in taken.items()}}, report


def _fit(name: str, value: Tensor, target: Target, origin: Origin) -> _Fit | None:
    """Return the tensor of the trained net that replaces one of the net; None if none fits.

    Args:
        name: Name of the tensor.
        value: The tensor as it starts without the transfer.
        target: Classes and channels of the net.
        origin: The trained net.
    """
    source = origin.state.get(name)
    if source is None or not source.is_floating_point():
        return None
    if name in target.class_tensors and list(target.classes) != list(origin.classes):
        rows = _merge_rows(value, target.classes, source, origin.classes)
        return None if rows is None else _Fit("by_class", rows)
    if source.shape == value.shape:
        return _Fit("equal", source.to(value))
    if _reads_images(value, target.in_channels) and _reads_images(source, origin.in_channels):
        widened = adapt_input(source, target.in_channels)
        return _Fit("adapted", widened.to(value)) if widened.shape == value.shape else None
    return None


def _merge_rows(value: Tensor, classes: Sequence[str], source: Tensor, source_classes: Sequence[str]) -> Tensor | None:
    """Return a tensor with the rows of another one for common classes; None if there are none, or no row fits."""
    rows = {name: row for row, name in enumerate(source_classes)}
    pairs = [(row, rows[name]) for row, name in enumerate(classes) if name in rows]
    has_rows = len(value) == len(classes) and len(source) == len(source_classes)
    if not pairs or not has_rows or value.shape[1:] != source.shape[1:]:
        return None
    merged = value.clone()
    into, out_of = zip(*pairs, strict=True)
    merged[list(into)] = source[list(out_of)].to(value)
    return merged


def _reads_images(weight: Tensor, in_channels: int) -> bool:
    return weight.ndim == 4 and weight.shape[1] == in_channels


def _weight_of(name: str) -> str | None:
    """Return the name of the weight that belongs to a bias; None for another tensor."""
    layer, _, last = name.rpartition(".")
    return f"{layer}.weight" if last == "bias" else None


def _describe_misfit(weights: Mapping[str, Tensor], origin: Origin) -> str:
    message = f"model.init: no weight of the {printable_line(origin.net)} in {origin.source} fits this net: "
    common = [name for name in weights if name in origin.state and weights[name].ndim > 1]
    if common and not origin.state[common[0]].is_floating_point():
        message += f"{common[0]} is of {origin.state[common[0]].dtype} in the file"
    elif common:
        shapes = [tuple(state[common[0]].shape) for state in (origin.state, weights)]
        message += f"{common[0]} has the shape {shapes[0]} in the file and {shapes[1]} here"
    else:
        message += f"the names differ, {_list(list(origin.state)[:1])} in the file and {_list(list(weights)[:1])} here"
    return message + "; take the net of that run and its options, or leave model.init out"


def _list(names: Sequence[str]) -> str:
    return join_names([printable_line(name)[:80] for name in names], 4)
