"""Memory allocation of the C library for tensors on the CPU."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of glibc's mallopt(3)."""

_LARGEST = (2**30, 2**25)
"""Bytes of what is to be kept; the second is all that an older glibc allows."""


def disable_malloc_trim() -> None:
    """Keep what a training step frees for the next one, rather than give it back to the system.

    Every step asks for the same tensors. glibc returns the large ones as soon as they are free, and the next step waits
    while the system clears their pages anew: a quarter of a step of a small net. A user who has set one of glibc's
    `MALLOC_` variables has decided otherwise; other C libraries are left as they are.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # the other setting alone makes it worse: with it glibc maps all but the smallest tensors anew
    if mallopt and any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST):
        # -1: never
        mallopt(_TRIM_THRESHOLD, -1)
