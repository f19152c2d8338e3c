"""Weights of unknown origin: whether a file is whole, holds what it claims, and fits a net, before memory is given."""

import signal
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode

from lightseg.errors import UserError
from lightseg.files.printable import printable_line
from lightseg.nets.memory import needs_values, without_memory
from lightseg.tasks import Task

_SHARED = 4
"""How often, on average, a file may give the same memory to several weights."""

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_LARGEST, _LONGEST = 2**16, 64
"""The largest number among the options of a net, and the most numbers in a list."""

_KWARG, _WINDOW = 4096, 256
"""The largest whole number among the options of a library's net, and among those of its windows."""

_BUILT, _MORE, _MORE_BYTES = 10, 1000, 2**30
"""How many times as much as it ends with a net may make while it is built; how many parameters and bytes beside."""

_STEPS = 4
"""How often a buffer is in memory while it is computed."""

_SECONDS = 30.0
"""The processor's time in which a net is built without memory."""


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


def plain_weights(state: Any, file: Path) -> dict[str, Tensor]:
    """Return weights that are tensors with memory of their own, no more of it than the file has, and nothing else.

    Raises:
        UserError: If not.
    """
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{file}: state_dict: names of weights and their tensors are expected; the file is damaged")
    total = 0
    for name, value in state.items():
        if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided or value.device.type != "cpu":
            raise UserError(f"{file}: state_dict.{name}: is no plain tensor; the file is damaged")
        if vars(value):
            raise UserError(f"{file}: state_dict.{name}: is a tensor with attributes of its own; the file is damaged")
        if value.is_floating_point() and value.dtype not in _FLOATS:
            raise UserError(f"{file}: state_dict.{name}: is of {value.dtype}, which no net of lightseg has")
        size = value.numel() * value.element_size()
        total += size
        if size > value.untyped_storage().nbytes():
            raise UserError(f"{file}: state_dict.{name}: has the shape {tuple(value.shape)} without the numbers for it")
    if total > _SHARED * file.stat().st_size:
        raise UserError(f"{file}: state_dict: its {total} bytes are not in the file; the file is damaged")
    return {name: value.detach() for name, value in state.items()}


def fill(task: Task, state: Mapping[str, Tensor], file: Path) -> None:
    """Give a task its weights.

    Raises:
        UserError: If they are others than it has, or are not finite.
    """
    expected = task.state_dict()
    _require_same(expected, state, file)
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all() and expected[name].isfinite().all():
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
        with _Bounds(weights), _deadline():
            net = _shapes(kind, options, weights)
    except UserError as error:
        raise UserError(f"{file}: net: {printable_line(str(error))}") from None
    except _Late:
        raise UserError(f"{file}: net: takes more than {_SECONDS:g} s to build; the file is damaged") from None
    # the libraries' constructors raise anything from AssertionError to AttributeError
    except Exception as error:
        reason = printable_line(str(error).partition("\n")[0])[:120]
        raise UserError(f"{file}: net: {kind.__name__} cannot be built with its options: {reason}") from None
    _require_same({f"net.{name}": value for name, value in net.state_dict().items()}, weights, file)


def _require_same(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], file: Path | str) -> None:
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    both = sorted(expected.keys() & state.keys())
    reshaped = [
        name
        for name in both
        if expected[name].shape != state[name].shape
        or expected[name].is_floating_point() != state[name].is_floating_point()
    ]
    if missing or unknown or reshaped:
        raise UserError(
            f"{file}: does not fit the net of its recipe: {len(missing)} weights are missing {missing[:3]}, "
            f"{len(unknown)} are unknown {unknown[:3]} and {len(reshaped)} have another shape {reshaped[:3]}; "
            "has the net's code changed since?"
        )


def _shapes(kind: Any, options: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """Return a net that is there for the shapes of its weights."""
    try:
        with without_memory():
            net: nn.Module = kind(**options)
    except Exception as error:
        if not needs_values(error):
            raise
        with _Allocations(_most_bytes(weights)):
            net = kind(**options)
    return net


def _most_bytes(weights: Mapping[str, Tensor]) -> int:
    return _BUILT * sum(value.nbytes for value in weights.values()) + _MORE_BYTES


def _require_small(value: Any, key: str, file: Path | str) -> None:
    """See that no option of a net is out of all proportion."""
    is_size = ".kwargs" in key and isinstance(value, int)
    most = (_WINDOW if "window" in key else _KWARG) if is_size else _LARGEST
    if isinstance(value, int | float) and not abs(value) <= most:
        raise UserError(f"{file}: {key}: {value} is more than {most}, which no net has; the file is damaged")
    if isinstance(value, list | dict) and len(value) > _LONGEST:
        raise UserError(f"{file}: {key}: has {len(value)} entries, more than {_LONGEST}; the file is damaged")
    entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, each in entries:
        _require_small(each, f"{key}.{name}", file)


class _Late(BaseException):
    """Time to build a net is over; no `except Exception` of a library stops it."""


@contextmanager
def _deadline() -> Iterator[None]:
    """Stop what takes too much of the processor's time; only the main thread can be stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: Any) -> None:
        raise _Late

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before or signal.SIG_DFL)


class _Bounds:
    """Stops the construction of a net in this thread when it has made more than its weights can account for."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.parameters, self.bytes = _BUILT * len(weights) + _MORE, _most_bytes(weights)
        self.thread = threading.get_ident()

    def __enter__(self) -> None:
        self.handles = [
            register_module_parameter_registration_hook(self._parameter),
            register_module_buffer_registration_hook(self._buffer),
        ]

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _parameter(self, _module: nn.Module, _name: str, parameter: Tensor) -> None:
        self._count(1, parameter.nbytes)

    def _buffer(self, _module: nn.Module, _name: str, buffer: Tensor | None) -> None:
        # those that the file does not hold are computed, for which they are in memory several times
        self._count(0, 0 if buffer is None else _STEPS * buffer.nbytes)

    def _count(self, parameters: int, size: int) -> None:
        if threading.get_ident() != self.thread:
            return
        self.parameters -= parameters
        self.bytes -= size
        if self.parameters < 0:
            raise UserError("it has more layers than there are weights in the file; the file is damaged")
        if self.bytes < 0:
            raise UserError("it needs more memory than the weights in the file account for; the file is damaged")


class _Allocations(TorchDispatchMode):
    """Refuses a tensor that is larger than all that a net may have, before it is made."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = most

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # a new tensor is given a device
        if "device" in kwargs and func(*args, **{**kwargs, "device": torch.device("meta")}).nbytes > self.most:
            raise UserError("it needs more memory than the weights in the file account for; the file is damaged")
        return func(*args, **kwargs)
