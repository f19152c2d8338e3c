"""Description of processes that died, and the end of those whose parent has."""

import subprocess
import sys

import pytest

from lightseg.distributed.supervision import describe_dead_process, is_lost_connection


def child(code):
    return subprocess.Popen([sys.executable, "-c", code])


def test_describe_dead_process__names_the_rank_that_died_and_how():
    children = [child("import time; time.sleep(3000)"), child("import os; os.kill(os.getpid(), 9)"), child("exit(2)")]
    for dead in children[1:]:
        dead.wait()
    message = describe_dead_process(children)
    children[0].kill()
    children[0].wait()
    assert message.startswith("rank 2 was killed by SIGKILL and rank 3 failed with exit code 2;")


def test_describe_dead_process__of_a_process_that_others_started():
    assert "another process of this run has died" in describe_dead_process([], patience=0.01)


@pytest.mark.parametrize(
    "message",
    [
        "[pair.cc:561] Connection closed by peer [127.0.0.1]:1",
        "NCCL error in: x, ncclRemoteError: remote process exited",
    ],
)
def test_is_lost_connection__messages_of_gloo_and_nccl(message):
    assert is_lost_connection(RuntimeError(message))


def test_is_lost_connection__other_errors():
    assert not is_lost_connection(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_lost_connection(ConnectionResetError("Connection reset by peer"))


WATCHING = """import os, time
from lightseg.distributed import supervision
supervision.{watch}()
print("{name}" in os.environ, flush=True)
time.sleep(3000)"""

PARENT = """import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1]], env={**os.environ, sys.argv[2]: str(os.getpid())})"""


@pytest.mark.parametrize(
    ("watch", "name", "message"),
    [
        ("stop_with_series", "LIGHTSEG_SERIES_PROCESS", "the process of the series has died; this run stops, too"),
        (
            "end_with_launcher",
            "LIGHTSEG_LAUNCHER_PROCESS",
            "the process of the launcher has died; this one ends, too",
        ),
    ],
)
def test_process__ends_once_its_parent_is_killed(watch, name, message):
    command = [sys.executable, "-c", PARENT, WATCHING.format(watch=watch, name=name), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        # processes that the run starts have another parent
        assert parent.stdout.readline() == b"False\n"
        parent.kill()
        # the pipe ends with the last process that holds it
        assert parent.stderr.read().decode() == f"lightseg: error: {message}\n"
