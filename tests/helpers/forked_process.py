"""Processes forked from a server that has imported lightseg, which saves seconds of imports per process."""

import faulthandler
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from multiprocessing import connection
from pathlib import Path

# all that `fit` needs but the module itself, which runs as `__main__`
PRELOADED = ["lightseg.training", "lightseg.cli", "lightseg.data", "lightseg.nets", "lightseg.tasks", "albumentations"]

# a start also reads the exit codes of all processes that have ended: read by two threads, one would be 255
_LOCK = threading.Lock()


class ForkedProcess:
    """`python -m MODULE ARGUMENTS` in a process group of its own; the methods are those of `subprocess.Popen`.

    Args:
        module: The module.
        arguments: Its command line.
        cwd: Where it runs.
        environment: Its environment.
        output: Folder of the files that stdout and stderr are written to.
    """

    def __init__(self, module: str, arguments: list[str], cwd: Path, environment: dict[str, str], output: Path) -> None:
        output.mkdir()
        self._files = output / "stdout", output / "stderr"
        for file in self._files:
            file.touch()
        self._process = _context().Process(target=_run, args=(module, arguments, str(cwd), environment, self._files))
        with _LOCK:
            self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative signal number, or None while the process runs."""
        with _LOCK:
            return self._process.exitcode

    @property
    def stderr(self) -> io.StringIO:
        """Error output so far."""
        return io.StringIO(self._files[1].read_text())

    def poll(self) -> int | None:
        """Return `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process ends.

        Raises:
            subprocess.TimeoutExpired: If it is still running after `timeout` seconds.
        """
        if not connection.wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired("fit", timeout)
        with _LOCK:
            self._process.join()
            return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until the process ends, and return its stdout and stderr."""
        self.wait(timeout)
        return self._files[0].read_text(), self._files[1].read_text()

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run_forked(
    module: str, arguments: list[str], cwd: Path, environment: dict[str, str], output: Path
) -> subprocess.CompletedProcess:
    """Run to the end, as `subprocess.run` does; the arguments are those of `ForkedProcess`."""
    process = ForkedProcess(module, arguments, cwd, environment, output)
    try:
        out, err = process.communicate()
    finally:
        process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _run(module: str, arguments: list[str], cwd: str, environment: dict[str, str], files: tuple[Path, Path]) -> None:
    os.setsid()
    # tests that run in the background inherit ignored ones
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files, 1):
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    faulthandler.enable()
    # loading processes start with the default method
    multiprocessing.set_start_method(None, force=True)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, cwd)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
