"""Module of the package as a process of its own, so that what it imports and computes leaves this one as it is."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from lightseg.cli.entry import ERROR
from lightseg.distributed.exit_codes import signal_name
from lightseg.errors import ConfigError


def run_child(module: str, job: Any, variables: Mapping[str, str] | None = None) -> str:
    """Run a module.

    Args:
        module: Name of the module, which runs its `main` by `guarded`.
        job: Plain data, its standard input as JSON.
        variables: Its environment variables; None for those of this process.

    Returns:
        The last line of its output; empty without output.

    Raises:
        ConfigError: With the message of its error, if it fails.
    """
    process = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=variables,
    )
    if process.returncode == 0:
        return _last_line(process.stdout)
    _, mark, message = process.stderr.rpartition(ERROR)
    if not mark:
        number = -process.returncode
        message = f"{signal_name(number) or number} has ended it" if number > 0 else _last_line(process.stderr)
    raise ConfigError(message.strip() or "it has failed without a message")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
