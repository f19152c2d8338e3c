"""End of all processes of a run after the error of one, and description of processes that died."""

import multiprocessing
import subprocess
import sys

import lightning as L
import pytest
from torch import distributed

from lightseg.distributed.launch import describe_dead_worker, is_loss, raise_on_all_ranks
from lightseg.errors import ConfigError


def raise_on_first_rank(rank, folder, error):
    """Exit with 10 if the error is raised, with 20 and more if the process is ended by the code of another one."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    trainer = L.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False)
    try:
        with raise_on_all_ranks(trainer, is_distributed=True):
            if rank == 0:
                raise error
    except type(error):
        sys.exit(10)
    except SystemExit as end:
        sys.exit(20 + end.code)


@pytest.mark.parametrize(("error", "code"), [(ConfigError("a key"), 2), (OSError("No space left on device"), 1)])
def test_raise_on_all_ranks__any_error_ends_the_others(tmp_path, error, code):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=raise_on_first_rank, args=(rank, tmp_path, error)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in processes] == [10, 20 + code]


def child(code):
    return subprocess.Popen([sys.executable, "-c", code])


def test_describe_dead_worker__names_the_rank_that_died_and_how():
    children = [child("import time; time.sleep(60)"), child("import os; os.kill(os.getpid(), 9)"), child("exit(2)")]
    for dead in children[1:]:
        dead.wait()
    message = describe_dead_worker(children)
    children[0].kill()
    children[0].wait()
    assert message.startswith("rank 2 was killed by SIGKILL and rank 3 failed with exit code 2;")


def test_describe_dead_worker__of_a_process_that_others_started():
    assert "another process of this run has died" in describe_dead_worker([], patience=0.01)


@pytest.mark.parametrize(
    "message",
    [
        "[pair.cc:561] Connection closed by peer [127.0.0.1]:1",
        "NCCL error in: x, ncclRemoteError: remote process exited",
    ],
)
def test_is_loss__messages_of_gloo_and_nccl(message):
    assert is_loss(RuntimeError(message))


def test_is_loss__other_errors():
    assert not is_loss(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_loss(ConnectionResetError("Connection reset by peer"))
