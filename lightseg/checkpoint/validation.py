"""Validation of weights of unknown origin, before memory is allocated for what they claim."""

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

# documented by torch for user code, but without a public module
from torch.utils._python_dispatch import TorchDispatchMode

from lightseg.errors import UserError
from lightseg.files.printable import printable_line
from lightseg.nets.lora import Lora, add_adapters
from lightseg.nets.memory import needs_values, without_memory
from lightseg.tasks import Task

_MAX_SHARING = 4
"""Upper limit of the ratio of the weights' bytes to the file's size; weights may share memory."""

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_MAX_NUMBER, _MAX_ENTRIES = 2**16, 64
"""Largest number among the options of a net, and largest number of entries in a list."""

_MAX_KWARG, _MAX_WINDOW = 4096, 256
"""Largest integer among the keyword arguments of a library's net, and among those of its windows."""

_FACTOR, _EXTRA_PARAMETERS, _EXTRA_BYTES = 10, 1000, 2**30
"""Limits while a net is built: a multiple of its final parameters and bytes, and a constant number of each on top."""

_BUFFER_COPIES = 4
"""Number of temporary copies of a buffer while it is computed."""

_SECONDS = 30.0
"""Limit of the CPU time for building a net without memory."""


def require_whole(file: Path) -> None:
    """Check all of an archive against its checksums, which torch does not verify.

    Raises:
        OSError: If a part is corrupt, or would be larger in memory than the file.
    """
    try:
        # an archive over several disks is an error even here
        if not zipfile.is_zipfile(file):
            return
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
    """Check that weights are plain tensors with no more memory than the file has, and return them detached.

    Raises:
        UserError: If not.
    """
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{file}: state_dict: names of weights and their tensors are expected; the file is damaged")
    total = require_tensors(state, file)
    if total > _MAX_SHARING * file.stat().st_size:
        raise UserError(f"{file}: state_dict: its {total} bytes are not in the file; the file is damaged")
    return {name: value.detach() for name, value in state.items()}


def require_tensors(state: Mapping[str, Any], file: Path | str) -> int:
    """Check that weights are plain tensors in main memory; return their size in bytes.

    Args:
        state: Weights by name.
        file: The file, for the message.

    Raises:
        UserError: If one is not.
    """
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
    return total


def fill(task: Task, state: Mapping[str, Tensor], file: Path | str) -> None:
    """Load weights into a task.

    Raises:
        UserError: If their names or shapes do not fit, they are not finite, or a variance is negative.
    """
    expected = task.state_dict()
    _require_same(expected, state, file)
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all() and expected[name].isfinite().all():
            raise UserError(f"{file}: state_dict.{name}: holds NaN or infinity; a net that predicts cannot have it")
        if name.endswith("running_var") and (value < 0).any():
            raise UserError(f"{file}: state_dict.{name}: holds a negative variance; the file is damaged")
    if any(values.dtype == torch.float64 for values in state.values()):
        # rounded to float32, the weights would not reproduce the numbers of the run
        task.double()
    task.load_state_dict(state)


def require_net_fits(
    net_class: Any,
    options: Mapping[str, Any],
    state: Mapping[str, Tensor],
    file: Path | str,
    lora: Mapping[str, Any] | None = None,
) -> None:
    """Check that a net has the shapes of the weights by building it without memory.

    Args:
        net_class: Class of the net.
        options: Arguments of its constructor.
        state: The weights of a task.
        file: The file, for the message.
        lora: Options of the adapters of the net; None if it has none.

    Raises:
        UserError: If not.
    """
    _require_small(options, "net", file)
    weights = {name: value for name, value in state.items() if name.startswith("net.")}
    try:
        with _Bounds(weights), _deadline():
            net = _build_without_memory(net_class, options, weights)
            if lora is not None:
                with without_memory():
                    add_adapters(net, Lora.parse(lora))
    except UserError as error:
        raise UserError(f"{file}: net: {printable_line(str(error))}") from None
    except _TimeoutSignal:
        raise UserError(f"{file}: net: takes more than {_SECONDS:g} s to build; the file is damaged") from None
    # the libraries' constructors raise anything from AssertionError to AttributeError
    except Exception as error:
        reason = printable_line(str(error).partition("\n")[0])[:120]
        raise UserError(f"{file}: net: {net_class.__name__} cannot be built with its options: {reason}") from None
    _require_same({f"net.{name}": value for name, value in net.state_dict().items()}, weights, file)


def _require_same(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], file: Path | str) -> None:
    absent_names, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    reshaped = [
        name
        for name in sorted(expected.keys() & state.keys())
        if expected[name].shape != state[name].shape
        or expected[name].is_floating_point() != state[name].is_floating_point()
    ]
    if absent_names or unknown or reshaped:
        raise UserError(
            f"{file}: does not fit the net of its recipe: {len(absent_names)} weights are missing {absent_names[:3]}, "
            f"{len(unknown)} are unknown {unknown[:3]} and {len(reshaped)} have another shape {reshaped[:3]}; "
            "has the net's code changed since?"
        )


def _build_without_memory(net_class: Any, options: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """Build a net on the meta device, or, if it needs values while it is built, with bounded allocations."""
    try:
        with without_memory():
            net: nn.Module = net_class(**options)
    except Exception as error:
        if not needs_values(error):
            raise
        with _Allocations(_most_bytes(weights)):
            net = net_class(**options)
    return net


def _most_bytes(weights: Mapping[str, Tensor]) -> int:
    return _FACTOR * sum(value.nbytes for value in weights.values()) + _EXTRA_BYTES


def _require_small(value: Any, key: str, file: Path | str) -> None:
    """Check that no option of a net is unreasonably large.

    Raises:
        UserError: If one is.
    """
    is_size = ".kwargs" in key and isinstance(value, int)
    most = (_MAX_WINDOW if "window" in key else _MAX_KWARG) if is_size else _MAX_NUMBER
    if isinstance(value, int | float) and not abs(value) <= most:
        raise UserError(f"{file}: {key}: {value} is more than {most}, which no net has; the file is damaged")
    if isinstance(value, list | dict) and len(value) > _MAX_ENTRIES:
        raise UserError(f"{file}: {key}: has {len(value)} entries, more than {_MAX_ENTRIES}; the file is damaged")
    entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in entries:
        _require_small(entry, f"{key}.{name}", file)


class _TimeoutSignal(BaseException):
    """Timeout of building a net; a BaseException, so that no `except Exception` of a library catches it."""


@contextmanager
def _deadline() -> Iterator[None]:
    """Raise `_TimeoutSignal` after `_SECONDS` of CPU time, in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: Any) -> None:
        raise _TimeoutSignal

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before or signal.SIG_DFL)


class _Bounds:
    """Context that stops building a net in this thread once it exceeds what its weights can account for."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.parameters, self.bytes = _FACTOR * len(weights) + _EXTRA_PARAMETERS, _most_bytes(weights)
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
        # buffers that are not in the file are computed, which takes temporary copies
        self._count(0, 0 if buffer is None else _BUFFER_COPIES * buffer.nbytes)

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
    """Dispatch mode that refuses a tensor larger than all of a net may be, before it is allocated."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = most

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # functions that allocate a tensor take a device
        if "device" in kwargs and func(*args, **{**kwargs, "device": torch.device("meta")}).nbytes > self.most:
            raise UserError("it needs more memory than the weights in the file account for; the file is damaged")
        return func(*args, **kwargs)
