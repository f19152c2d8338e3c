"""Training processes: options of two ranks, and waiting for the end."""

import os
import re
import signal
import subprocess
from pathlib import Path

DDP = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
# seconds, less than pytest's limit, after which a process that hangs prints its stacks
PATIENCE = 600


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
