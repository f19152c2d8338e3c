"""lightseg: train segmentation and classification models from one YAML recipe, with numbers you can trust."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightseg.checkpoint import load
    from lightseg.hub import push

__version__ = "0.1.0"
__all__ = ["__version__", "load", "push"]

# albumentations asks the network for a newer version when it is imported
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def __getattr__(name: str) -> Any:
    """Import `load` and `push` when they are asked for: torch takes seconds, and `--help` should not."""
    if name == "load":
        from lightseg.checkpoint import load

        return load
    if name == "push":
        from lightseg.hub import push

        return push
    raise AttributeError(f"module 'lightseg' has no attribute {name!r}")
