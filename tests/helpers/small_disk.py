"""File systems of a few bytes, for errors of a full disk."""

import contextlib
import os
import resource
import subprocess

import pytest


@contextlib.contextmanager
def limited_files(size):
    """Let files of this process, and of those that it starts, end at a byte, as they do on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run_on_small_disk(folder, size, script):
    """Run a shell script while FOLDER/disk is a file system of the given size, which vanishes when the script ends."""
    if os.name != "posix" or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    (folder / "disk").mkdir()
    command = ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs -o size={size} none disk\n{script}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)
