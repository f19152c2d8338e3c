"""`python -m lightseg` and the package's attributes."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("module", [["lightseg.fit"], ["lightseg", "fit"]])
def test_module__is_loaded_once_and_without_a_warning(module):
    command = [sys.executable, "-W", "error", "-m", *module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.startswith("usage: python -m lightseg.fit")
    assert done.stderr == ""


def test_verb__misspelt():
    done = subprocess.run([sys.executable, "-m", "lightseg", "fitt"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "lightseg: error: no verb 'fitt'; did you mean fit?\n"


@pytest.mark.slow
def test_package__load_is_there_without_importing_torch_first():
    code = "import sys, lightseg; assert 'torch' not in sys.modules; assert callable(lightseg.load)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
