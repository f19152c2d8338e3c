"""Equalities hold with the kernels of lesser processors, too."""

import os
import platform
import subprocess
import sys

import pytest

from tests.conftest import ROOT

BATCHES = "tests/inference/test_predictor.py::test_predict__equals_an_evaluation_of_mixed_sizes"
SHARED = [
    f"tests/promises/test_processes.py::{name}[two batches]"
    for name in ("test_loss__does_not_depend_on_how_a_batch_is_shared", "test_gradient__of_the_first_step_in_float32")
]
EVALUATED = [
    f"tests/test_evaluate.py::test_evaluate__{name}"
    for name in ("repeats_the_numbers_of_the_run", "batch_size_and_large_windows_change_nothing")
]
LOADED = "tests/checkpoint/test_rebuild.py::test_predict__equals_the_training_process_to_the_last_bit[plain]"


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="forces kernels of x86")
@pytest.mark.parametrize(
    ("aten", "onednn", "tests"),
    [("avx2", "AVX2", [BATCHES, *SHARED, *EVALUATED, LOADED]), ("default", "SSE41", [BATCHES, SHARED[1]])],
    ids=["avx2", "no vectors"],
)
def test_equalities__with_the_kernels_of_lesser_processors(aten, onednn, tests):
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn}
    code = f"import sys, pytest, torch; assert torch.backends.cpu.get_cpu_capability() == {aten.upper()!r}; "
    code += f"sys.exit(pytest.main(['-q', *{tests!r}]))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
