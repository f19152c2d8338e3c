"""Settings of the C library's memory allocation for tensors on the CPU."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of glibc's mallopt(3)."""

_LARGEST = (2**30, 2**25)
"""Thresholds in bytes; the second is the maximum of older versions of glibc."""


def disable_malloc_trim() -> None:
    """Keep the memory that a training step frees, instead of returning it to the system.

    Every step allocates the same tensors. glibc returns large ones to the system when they are freed, which then clears
    their pages again in the next step: a quarter of a step of a small net. The settings are unchanged if the user has
    set one of glibc's `MALLOC_` variables, and with other C libraries.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # both are needed: the trim threshold alone disables the dynamic mmap threshold, which is slower
    if mallopt and any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST):
        # -1: never
        mallopt(_TRIM_THRESHOLD, -1)
