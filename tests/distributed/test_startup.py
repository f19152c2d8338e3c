"""End of all processes of a run after an error of the first one."""

import multiprocessing
import sys

import lightning as L
import pytest
from torch import distributed

from lightseg.distributed.startup import raise_on_all_ranks
from lightseg.errors import ConfigError
from tests.helpers.processes import PATIENCE


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
        process.join(PATIENCE)
        process.kill()
    assert [process.exitcode for process in processes] == [10, 20 + code]
