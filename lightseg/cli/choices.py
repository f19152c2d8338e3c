"""Options, classes and blocks that a key of a recipe takes, for suggestions in messages."""

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch.callbacks
import torch
from jsonargparse import Namespace

import lightseg.callbacks
import lightseg.data
import lightseg.loggers
import lightseg.nets
import lightseg.optim.optimizer
import lightseg.tasks
from lightseg.config.compose import LIBRARY
from lightseg.config.option_names import FIT_OPTIONS
from lightseg.data.device_transforms import DeviceTransform

SCHEDULERS = "torch.optim.lr_scheduler."
"""Start of the paths of the schedulers of torch."""

_CLASSES: dict[str, Callable[[], Iterable[str]]] = {
    "net": lambda: _subclasses(lightseg.nets.Net),
    "model": lambda: _subclasses(lightseg.tasks.Task),
    "data": lambda: _subclasses(lightseg.data.ImageDataModule),
    "schedule": lambda: [*_subclasses(lightseg.optim.Schedule), f"{SCHEDULERS}ReduceLROnPlateau"],
    "optimizer": lambda: _subclasses(torch.optim.Optimizer),
    "device_transforms": lambda: _subclasses(DeviceTransform),
    "callbacks": lambda: [*lightseg.callbacks.__all__, *lightning.pytorch.callbacks.__all__],
    "logger": lambda: lightseg.loggers.__all__,
}
"""Class names that a key takes, by the last word of the key."""


def class_names(key: str) -> list[str]:
    """Return the sorted class names that a key takes; empty if they are not known."""
    return sorted(_CLASSES.get(key.rpartition(".")[2], list)())


def options_of(section: str, composed: Namespace, message: str = "") -> list[str]:
    """Return the options under a key: those of its class.

    Args:
        section: The key, such as `model.net`; empty for the options of `fit`.
        composed: The config so far.
        message: A message of jsonargparse, whose classes take precedence over those of the config.
    """
    if not section:
        return list(FIT_OPTIONS)
    if section == "trainer":
        return list(inspect.signature(lightning.Trainer.__init__).parameters)
    configured = composed.get(section.replace(".", ".init_args."))
    entries = [entry for entry in (configured if isinstance(configured, list) else [configured]) if entry]
    class_paths = re.findall(r"'class_path': '([\w.]+)'", message) or [entry.get("class_path", "") for entry in entries]
    # without a class in the config, the default of the task applies
    default = inspect.signature(lightseg.tasks.Task).parameters.get(section.rpartition(".")[2])
    kinds = [find_class(str(class_path)) for class_path in class_paths] or [default.default if default else None]
    return list(dict.fromkeys(name for kind in kinds if inspect.isclass(kind) for name in _parameters(kind)))


def find_class(path: str) -> Any:
    """Return the class of a dotted path, if its module has been imported; else None."""
    module, _, name = path.rpartition(".")
    return getattr(_module(module), name, None)


def public_names(module: str) -> list[str]:
    """Return the public names of a module that has been imported; else none."""
    return [name for name in dir(_module(module)) if not name.startswith("_")] if _module(module) else []


def list_blocks(key: str) -> str:
    """Return the end of a message: the blocks in configs/ for `data` and `net`."""
    word = key.rpartition(".")[2]
    folder = f"configs/{'net' if word == 'model' else word}"
    names = sorted(path.stem for path in (LIBRARY / folder).glob("*.yaml"))
    return f"\navailable in {folder}: {', '.join(names)}" if names else ""


def required_options(path: str) -> list[str]:
    """Return the names of the arguments that a scheduler of torch needs, beside its optimizer."""
    parameters = list(inspect.signature(find_class(path)).parameters.values())[1:]
    return [parameter.name for parameter in parameters if parameter.default is parameter.empty]


def _parameters(kind: type) -> dict[str, Any]:
    """Return the names of a constructor's parameters, and of those that it passes on by `**kwargs`."""
    names: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base) and base.__module__.partition(".")[0] not in ("builtins", "abc"):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            names |= parameters
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
    facts = ("self", "kwargs", "args", "num_classes", "in_channels")
    return {name: None for name in names if name not in facts}


def _module(name: str) -> Any:
    return sys.modules.get(name)


def _subclasses(kind: type) -> list[str]:
    """Return the names of all public, concrete subclasses that have been imported."""
    below: list[type] = list(kind.__subclasses__())
    for subclass in below:
        below += subclass.__subclasses__()
    return [
        subclass.__name__
        for subclass in below
        if not inspect.isabstract(subclass) and not re.match("_|Lazy", subclass.__name__)
    ]
