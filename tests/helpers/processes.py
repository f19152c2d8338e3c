"""Training processes: options of two ranks, and waiting for what they do."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

DDP = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
# seconds, less than pytest's limit, after which a process that hangs prints its stacks
PATIENCE = 600


def wait_until(condition: Callable[[], object], *processes) -> None:
    """Wait until a condition holds, for minutes: other work may slow every process, and change their order.

    Args:
        condition: The condition.
        processes: Processes that must not end before; a condition that their end fulfils holds.
    """
    end = time.monotonic() + PATIENCE
    while True:
        # before the condition: what has ended has left all that it leaves
        ended = [process for process in processes if process.poll() is not None]
        if condition():
            return
        assert not ended, ended[0].stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


def wait_for_run(process, code=0):
    """Wait until a training process has ended with the given exit code, and return its run folder."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        # every process of the group says where it hangs
        os.killpg(process.pid, signal.SIGABRT)
        out, err = process.communicate()
    assert process.returncode == code, err
    return Path(re.compile(r"^run: (.*)$", re.MULTILINE).search(out)[1])
