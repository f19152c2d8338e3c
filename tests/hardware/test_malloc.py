"""Memory that glibc keeps between steps."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own")

FAULTS = """
import ctypes, resource, torch
# a page of 2 MB is one fault: PR_SET_THP_DISABLE leaves those of 4 kB
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
from lightseg.hardware.malloc import disable_malloc_trim
{call}
def fault():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    return [torch.ones(size) for size in (4_000_000, 4_000_000, 4_000_000, 16_000_000)]
for _ in range(10):
    step()
before = fault()
for _ in range(10):
    step()
print((fault() - before) // 10)
"""


def faults(call: str, **variables: str) -> int:
    """Pages that the system maps in each step of a process which takes 112 MB and frees them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS.format(call=call)]
    return int(subprocess.run(command, env=environment | variables, capture_output=True, check=True).stdout)


@pytest.mark.slow
def test_disable_malloc_trim__a_step_reuses_the_memory_of_the_last() -> None:
    # none, but for a heap that grows once more
    assert 5 * faults("disable_malloc_trim()") < faults("") > 10_000


@pytest.mark.slow
def test_disable_malloc_trim__a_setting_of_the_user_is_kept() -> None:
    assert faults("disable_malloc_trim()", MALLOC_TRIM_THRESHOLD_="131072") > 10_000
