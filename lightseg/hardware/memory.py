"""Main memory of this machine, and checks of sizes before an allocation."""

import os

from lightseg.errors import require


def total_memory() -> int:
    """Return the bytes of main memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_memory(size: float, key: str, contents: str) -> None:
    """Raise `ConfigError` unless main memory is large enough.

    Args:
        size: Required bytes.
        key: Option that determines the size, for the message.
        contents: Description of the data, for the message.
    """
    available = total_memory()
    require(
        size <= available,
        f"{key}: {contents} would take {size / 2**30:,.0f} GiB, but this machine has {available / 2**30:.0f} GiB; "
        "give less",
    )
