"""Self-contained checkpoints: writing, lookup, validation and loading."""

from typing import TYPE_CHECKING

from lightseg.config.lazy import lazy_getattr

if TYPE_CHECKING:
    from lightseg.checkpoint.io import AtomicCheckpointIO
    from lightseg.checkpoint.loading import load, read, reload

__all__ = ["AtomicCheckpointIO", "load", "read", "reload"]

__getattr__ = lazy_getattr(
    __name__, {"AtomicCheckpointIO": "io"} | dict.fromkeys(("load", "read", "reload"), "loading")
)
