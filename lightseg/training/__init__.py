"""Training from start to end."""

from typing import TYPE_CHECKING

from lightseg.config.lazy import lazy_getattr

if TYPE_CHECKING:
    from lightseg.training.run import fit

__all__ = ["fit"]

__getattr__ = lazy_getattr(__name__, {"fit": "run"})
