"""A disk that is full soon."""

import os
import subprocess

import pytest


def on_small_disk(folder, size, script):
    """What became of a shell script that has a disk of so many bytes at FOLDER/disk; it is gone with the script."""
    if os.name != "posix" or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    (folder / "disk").mkdir()
    command = ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs -o size={size} none disk\n{script}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)
