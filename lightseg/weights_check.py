"""Weights of unknown origin: whether a file is whole, holds what it claims, and fits a net, before memory is given."""

import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from lightseg.errors import UserError
from lightseg.tasks import Task
from lightseg.text import printable_line

_SHARED = 4
"""How often, on average, a file may give the same memory to several weights."""

_LARGEST, _LONGEST = 2**16, 64
"""The largest number among the options of a net, and the most numbers in a list."""

_BUILT, _MORE = 10, 1000
"""How many times as many parameters as it ends with a net may make while it is built, and how many beside that."""


def require_whole(file: Path) -> None:
    """Read all of an archive against its checksums, which torch does not look at.

    Raises:
        OSError: If a part of it is not what was written, or would be larger in memory than the file.
    """
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise OSError("it is compressed, as no checkpoint is")
            if sum(part.file_size for part in parts) > file.stat().st_size:
                raise OSError("its parts are larger than the file")
            broken = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise OSError(str(error)) from None
    if broken:
        raise OSError(f"{broken} does not have its checksum")


def require_weights(state: Any, file: Path) -> None:
    """See that weights are tensors with memory of their own, no more of it than the file has.

    Raises:
        UserError: If not.
    """
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{file}: state_dict: names of weights and their tensors are expected; the file is damaged")
    total = 0
    for name, value in state.items():
        if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided or value.device.type != "cpu":
            raise UserError(f"{file}: state_dict.{name}: is no plain tensor; the file is damaged")
        size = value.numel() * value.element_size()
        total += size
        if size > value.untyped_storage().nbytes():
            raise UserError(f"{file}: state_dict.{name}: has the shape {tuple(value.shape)} without the numbers for it")
    if total > _SHARED * file.stat().st_size:
        raise UserError(f"{file}: state_dict: its {total} bytes are not in the file; the file is damaged")


def fill(task: Task, state: Mapping[str, Tensor], file: Path) -> None:
    """Give a task its weights.

    Raises:
        UserError: If they are others than it has, or are not finite.
    """
    own = task.state_dict()
    _require_same(own, state, file)
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all() and own[name].isfinite().all():
            raise UserError(f"{file}: state_dict.{name}: holds NaN or infinity; a net that predicts cannot have it")
    if any(values.dtype == torch.float64 for values in state.values()):
        # rounded to float32, the weights would not give the numbers of the run back
        task.double()
    task.load_state_dict(state)


def require_net_fits(kind: Any, options: Mapping[str, Any], state: Mapping[str, Tensor], file: Path | str) -> None:
    """See that a net has the shapes of the weights, without memory for it, before it is built.

    Args:
        kind: Its class.
        options: The arguments of its constructor.
        state: The weights of a task.
        file: The file, for the message.

    Raises:
        UserError: If not.
    """
    _require_small(options, "net", file)
    weights = {name: value for name, value in state.items() if name.startswith("net.")}
    try:
        with torch.device("meta"), _at_most(_BUILT * len(weights) + _MORE):
            net = kind(**options)
    except UserError as error:
        raise UserError(f"{file}: net: {printable_line(str(error))}") from None
    except (NotImplementedError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, NotImplementedError) or "meta" in str(error):
            # a few nets compute with values while they are built
            return
        reason = printable_line(str(error).partition("\n")[0])[:120]
        raise UserError(f"{file}: net: {kind.__name__} cannot be built with its options: {reason}") from None
    _require_same({f"net.{name}": value for name, value in net.state_dict().items()}, weights, file)


def _require_same(own: Mapping[str, Tensor], state: Mapping[str, Tensor], file: Path | str) -> None:
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    both = sorted(own.keys() & state.keys())
    reshaped = [
        name
        for name in both
        if own[name].shape != state[name].shape or own[name].is_floating_point() != state[name].is_floating_point()
    ]
    if missing or unknown or reshaped:
        raise UserError(
            f"{file}: does not fit the net of its recipe: {len(missing)} weights are missing {missing[:3]}, "
            f"{len(unknown)} are unknown {unknown[:3]} and {len(reshaped)} have another shape {reshaped[:3]}; "
            "has the net's code changed since?"
        )


def _require_small(value: Any, key: str, file: Path | str) -> None:
    """See that no option of a net is out of all proportion."""
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        raise UserError(f"{file}: {key}: {value} is more than {_LARGEST}, which no net has; the file is damaged")
    if isinstance(value, list | dict) and len(value) > _LONGEST:
        raise UserError(f"{file}: {key}: has {len(value)} entries, more than {_LONGEST}; the file is damaged")
    entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, each in entries:
        _require_small(each, f"{key}.{name}", file)


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Stop the construction of a net in this thread when it has made so many parameters."""
    thread, made = threading.get_ident(), 0

    def count(_module: nn.Module, _name: str, _parameter: nn.Parameter) -> None:
        nonlocal made
        made += threading.get_ident() == thread
        if made > parameters:
            raise UserError("it has more layers than there are weights in the file; the file is damaged")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
