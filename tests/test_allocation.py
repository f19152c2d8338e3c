import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from lightseg.allocation import keep_freed_memory
{call}
def fault():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(12):
    # the first ones are what there is to keep
    before = fault() if step == 2 else before if step > 2 else 0
    tensors = [torch.ones(4_000_000) for _ in range(3)]
    large = torch.ones(16_000_000)
    del tensors, large
print((fault() - before) // 10)
"""


def faults(call: str, **variables: str) -> int:
    """Pages that the system maps in each step of a process which takes 112 MB and frees them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS.format(call=call)]
    return int(subprocess.run(command, env=environment | variables, capture_output=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_allocation__a_step_is_given_the_memory_of_the_last() -> None:
    assert faults("keep_freed_memory()") < 100 < 10_000 < faults("")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_allocation__a_users_own_setting_is_left() -> None:
    assert faults("keep_freed_memory()", MALLOC_TRIM_THRESHOLD_="131072") > 10_000
