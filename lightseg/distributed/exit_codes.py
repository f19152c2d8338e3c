"""Names of the signals behind exit codes."""

import signal


def signal_name(number: int) -> str | None:
    """Return the name of a signal, such as `SIGTERM`; None for a number that has none."""
    return next((name.name for name in signal.Signals if name == number), None)
