"""How the C library hands out memory to tensors on the CPU."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of glibc's mallopt(3)."""

_LARGEST = 2**30


def keep_freed_memory() -> None:
    """Keep what a training step frees for the next one, rather than give it back to the system.

    Every step asks for the same tensors. glibc returns the large ones as soon as they are free, and the next step waits
    while the system clears their pages anew: a quarter of a step of a small net. A user who has set one of glibc's
    `MALLOC_` variables has decided otherwise; other C libraries are left as they are.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        # -1: never
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_MMAP_THRESHOLD, _LARGEST)
