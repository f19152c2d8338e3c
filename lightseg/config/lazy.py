"""Lazy imports of a package's public names, for packages of which some modules are used without torch."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_getattr(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package (PEP 562), which imports a public name at its first access.

    Importing torch takes seconds, so that a package must not import it for modules that do without. Type checkers find
    the names by imports under `TYPE_CHECKING`.

    Args:
        package: `__name__` of the package.
        modules: Module that defines each public name, relative to the package.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name in modules:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module '{package}' has no attribute {name!r}")

    return __getattr__
