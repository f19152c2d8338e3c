"""Errors as one message and an exit code, for all verbs."""

import argparse
import contextlib
import errno
import functools
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from lightseg.distributed import environment
from lightseg.errors import LightsegError, StoppedError, UserError
from lightseg.files.atomic import expand_home
from lightseg.files.printable import printable
from lightseg.version import __version__

_REASONS = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "your quota is used up", errno.EROFS: "it is read-only"}
_REASONS |= {errno.EACCES: "permission denied", errno.ENOTDIR: "a part of its path is no folder"}
_REASONS |= {errno.ENAMETOOLONG: "its path is too long", errno.ELOOP: "its links lead in a circle"}
_REASONS |= {errno.EIO: "the disk cannot read or write it"}

_TOO_MANY_FILES = "too many open files; raise the limit (`ulimit -n 1024`), or set data.num_workers to 0"


def guarded(run: Callable[[], None], own_code: bool = True) -> int:
    """Run a verb; a foreseen failure is printed without a traceback.

    Args:
        run: What the verb does.
        own_code: Whether modules are looked for in the working directory, which may hold a model of somebody else.

    Returns:
        0 done, 1 failed in the run, 2 bad input, 128 + signal if stopped by one.
    """
    open_streams()
    try:
        with warnings.catch_warnings(), _import_path(own_code):
            _quiet()
            environment.require_numbers()
            run()
    except StoppedError as error:
        print(f"lightseg: stopped by {signal.Signals(error.received).name}; {error}", file=sys.stderr)
        return error.exit_code
    except LightsegError as error:
        print(f"lightseg: error: {_message(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("lightseg: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # nobody reads what is printed any more; what is still to be flushed must not fail either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("lightseg: error: the output was closed before the end", file=sys.stderr)
        return 128 + signal.SIGPIPE
    except (OSError, RuntimeError, ImportError, ValueError) as error:
        reason = _reason(error) or environment.describe_misread(error)
        if reason is None:
            raise
        print(f"lightseg: error: {printable(reason)}", file=sys.stderr)
        return 2
    return 0


def open_streams() -> None:
    """Open standard streams that are closed on the null device, and let none fail at a character it cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # the next file that is opened would get this number, and with it whatever libraries print
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _import_path(own_code: bool) -> Iterator[None]:
    """Find modules in the working directory, however lightseg was started, or nowhere in it."""
    try:
        here = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        raise UserError("the working directory was removed; go to one that exists") from None
    if own_code:
        if here not in sys.path:
            sys.path.insert(0, here)
        yield
        return
    # where lightseg itself lies, or where the user says that modules are
    wanted = (str(Path(__file__).parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    removed = [] if here in wanted else [path for path in sys.path if path in ("", here)]
    sys.path[:] = [path for path in sys.path if path not in removed]
    try:
        yield
    finally:
        sys.path[:0] = removed


def show_help(text: str) -> int:
    """Print the usage of a verb: what follows the first paragraph of its docstring; returns the exit code."""
    return guarded(lambda: print(text.partition("\n\n")[2].strip(), flush=True))


def show_version() -> int:
    """Print the version; returns the exit code."""
    return guarded(lambda: print(f"lightseg {__version__}", flush=True))


def verb(text: str, own_code: bool = False) -> Callable[[Callable[[list[str]], None]], Callable[..., int]]:
    """Make a verb's `main` of what it does with its arguments: it returns the exit code, see `guarded`.

    It takes the command line without the program's name, or the process's own if none is given. Where help is asked
    for, or nothing is given, it prints its usage; `--version` prints the version.

    Args:
        text: The docstring of its module.
        own_code: Whether it runs what the user's own recipe names; other verbs do so only with `--trust`.
    """

    def decorate(run: Callable[[list[str]], None]) -> Callable[..., int]:
        @functools.wraps(run)
        def main(args: list[str] | None = None) -> int:
            given = expand_home(sys.argv[1:] if args is None else args)
            if not given or {"-h", "--help"} & set(given):
                return show_help(text)
            return (
                show_version() if "--version" in given else guarded(lambda: run(given), own_code or "--trust" in given)
            )

        return main

    return decorate


class Arguments(argparse.ArgumentParser):
    """The arguments of a verb; what is wrong with them is said in a line.

    Args:
        verb: Its name.
    """

    def __init__(self, verb: str) -> None:
        super().__init__(prog=f"python -m lightseg.{verb}", add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print and exit with."""
        raise UserError(f"{message}; `{self.prog} --help` tells more")


def _reason(error: Exception) -> str | None:
    """Return what to say about an error of the machine; None if it is of another kind."""
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or "Too many open files" in str(error):
        return _TOO_MANY_FILES
    if str(error).startswith("Symlink loop"):
        # what Path.resolve raises before Python 3.13
        return f"{printable(str(error))}: {_REASONS[errno.ELOOP]}"
    if not isinstance(error, OSError) or error.errno not in _REASONS:
        return None
    return f"cannot use {_short(error.filename)}: {_REASONS[error.errno]}"


def _message(error: LightsegError) -> str:
    """The error's own words, without the traceback that torch puts around an error of a data worker."""
    text = str(error)
    own = text.rpartition(f"{type(error).__name__}: ")[2].strip() if "Original Traceback" in text else text
    # what a file or its name holds may be in it
    return printable(own)


def _short(path: object) -> str:
    """A path for a message, in which one of thousands of characters would hide what is said."""
    text = printable(str(path or "a file"))
    return text if len(text) <= 300 else f"{text[:100]} … {text[-100:]}"


def _quiet() -> None:
    """Silence what a user can do nothing about; each line says why."""
    for message in (
        # lightning 2.6 asks torch's pytree in a way that torch >= 2.12 deprecates
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
        # the interval is shortened to the epoch
        "The number of training batches .* is smaller than the logging interval",
        # a tuple that is a transform's default is saved as a list, which is as good to it
        "\\s*Dump of a value that does not\\s+round-trip: a tuple",
        # the same few batches in the same order are what is asked for
        "You requested to overfit but enabled (train|val) dataloader shuffling",
        # the hook shares the net between devices, which averaged weights are refused with
        "You're using the WeightAveraging callback with a model that overrides the configure_model",
        # it is not when a run goes on
        "Checkpoint directory .* exists and is not empty",
        # the sampler knows where in the epoch to go on
        "You're resuming from a checkpoint that ended before the epoch ended and your dataloader is not resumable",
        # workers follow the machine's cores by default, and a user who sets them means it
        "The '.*_dataloader' does not have many workers",
    ):
        warnings.filterwarnings("ignore", message=message)
