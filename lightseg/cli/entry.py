"""Entry of a verb: its arguments, and its errors as one message and an exit code."""

import argparse
import contextlib
import errno
import functools
import io
import os
import re
import select
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from lightseg.distributed import environment
from lightseg.errors import LightsegError, StoppedError, UserError, did_you_mean
from lightseg.files.atomic import expand_home
from lightseg.files.printable import printable
from lightseg.files.version import __version__

ERROR = "lightseg: error: "
"""Start of the message of an expected failure."""

_REASONS = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "your quota is used up", errno.EROFS: "it is read-only"}
_REASONS |= {errno.EACCES: "permission denied", errno.ENOTDIR: "a part of its path is no folder"}
_REASONS |= {errno.ENAMETOOLONG: "its path is too long", errno.ELOOP: "its links lead in a circle"}
_REASONS |= {errno.EIO: "the disk cannot read or write it", errno.EISDIR: "it is a folder where a file belongs"}
_REASONS |= {errno.EFBIG: "it exceeds the limit (`ulimit -f`)"}

_OUT_OF_MEMORY = (
    "there is not enough memory; lower data.batch_size, data.num_workers or data.cache_gb, or raise the limit "
    "(`ulimit -v`, or that of the job)"
)
_OUT_OF_MEMORY_TEXTS = (
    *("can't allocate memory", "Cannot allocate memory", "failed to map segment", "Insufficient memory"),
    "can't start new thread",
)
"""Parts of the messages of torch, the system, the loader of libraries, OpenCV and Python."""

_TOO_MANY_FILES = "too many open files; raise the limit (`ulimit -n 1024`), or set data.num_workers to 0"


def guarded(run: Callable[[], None], imports_user_code: bool = True) -> int:
    """Run a verb; print an expected failure without a traceback.

    Args:
        run: The function of the verb.
        imports_user_code: Whether modules are imported from the working directory, which may be somebody else's.

    Returns:
        The exit code: 0 done, 1 failed in the run, 2 bad input, 128 + signal if stopped by one.
    """
    open_streams()
    try:
        with warnings.catch_warnings(), _import_path(imports_user_code):
            _quiet()
            environment.require_readable()
            run()
    except StoppedError as error:
        print(f"lightseg: stopped by {signal.Signals(error.received).name}; {_message(error)}", file=sys.stderr)
        return error.exit_code
    except LightsegError as error:
        print(f"{ERROR}{_message(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("lightseg: interrupted", file=sys.stderr)
        return 130
    except SystemExit as error:
        # only a verb that has imported user code can fail by it, so that this import is paid already
        from lightseg.config.class_errors import describe_exit

        message = describe_exit(error)
        if message is None:
            raise
        print(f"{ERROR}{message}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if _has_readers():
            # code of the user wrote to a pipe of its own
            raise
        # the reader has closed the pipe, and flushing the rest must not fail either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"{ERROR}the output was closed before the end", file=sys.stderr)
        return 128 + signal.SIGPIPE
    except Exception as error:
        reason = _reason(error) or environment.describe_misread(error)
        if reason is None:
            raise
        print(f"{ERROR}{printable(reason)}", file=sys.stderr)
        return 2
    return 0


def _has_readers() -> bool:
    """Return whether somebody still reads what stdout and stderr receive."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def open_streams() -> None:
    """Open closed standard streams on the null device, and escape characters that a stream cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # the next file to be opened would get this number, and receive what libraries print
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _import_path(imports_user_code: bool) -> Iterator[None]:
    """Add the working directory to the import path, or remove it, however lightseg was started."""
    try:
        directory = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        raise UserError("the working directory was removed; go to one that exists") from None
    if imports_user_code:
        if directory not in sys.path:
            sys.path.insert(0, directory)
        yield
        return
    # the folder of lightseg, and those of PYTHONPATH, stay
    trusted = (str(Path(__file__).parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    removed = [] if directory in trusted else [path for path in sys.path if path in ("", directory)]
    sys.path[:] = [path for path in sys.path if path not in removed]
    try:
        yield
    finally:
        sys.path[:0] = removed


def show_help(text: str) -> int:
    """Print the usage of a verb, all but the first paragraph of its docstring; return the exit code."""
    return guarded(lambda: print(text.partition("\n\n")[2].strip(), flush=True))


def show_version() -> int:
    """Print the version; return the exit code."""
    return guarded(lambda: print(f"lightseg {__version__}", flush=True))


def verb(text: str, imports_user_code: bool = False) -> Callable[[Callable[[list[str]], None]], Callable[..., int]]:
    """Decorate a function of arguments as the `main` of a verb, which returns the exit code of `guarded`.

    `main` takes the command line without the program's name, by default that of the process. It prints the usage for
    `--help` or no arguments, and the version for `--version`.

    Args:
        text: The docstring of its module.
        imports_user_code: Whether it runs classes of the user's recipe; other verbs do so only with `--trust`.
    """

    def decorate(run: Callable[[list[str]], None]) -> Callable[..., int]:
        @functools.wraps(run)
        def main(args: list[str] | None = None) -> int:
            arguments = expand_home(sys.argv[1:] if args is None else args)
            if not arguments or {"-h", "--help"} & set(arguments):
                return show_help(text)
            if "--version" in arguments:
                return show_version()
            return guarded(lambda: run(_with_values(arguments)), imports_user_code or "--trust" in arguments)

        return main

    return decorate


def _with_values(args: list[str]) -> list[str]:
    """Return a command line, after a check that no option has the value `--`, which argparse loses.

    Raises:
        UserError: If one has.
    """
    for arg in args:
        if arg.startswith("--") and arg.endswith("=--"):
            raise UserError(f"{arg}: -- is no value; give another, or leave the option out")
    return args


class Arguments(argparse.ArgumentParser):
    """Arguments of a verb, whose errors are one line with the name that a misspelt one is nearest to.

    Args:
        verb: The name of the verb.
    """

    def __init__(self, verb: str) -> None:
        self._options: list[str] = []
        super().__init__(prog=f"python -m lightseg.{verb}", add_help=False, allow_abbrev=False)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an argument, as argparse does."""
        self._options += [name for name in names if name.startswith("--")]
        return super().add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise the message of argparse as a `UserError`."""
        raise UserError(f"{message}{self._suggest(message) or f'; `{self.prog} --help` tells more'}")

    def _suggest(self, message: str) -> str:
        """Return `; did you mean X?` for a misspelt option or choice; an empty text for any other mistake."""
        if match := re.match(r"unrecognized arguments: (--[^\s=]+)", message):
            return did_you_mean(match[1], self._options)
        if match := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            return did_you_mean(match[1], re.findall(r"[\w-]+", match[2]))
        return ""


def _reason(error: Exception) -> str | None:
    """Return the message for an error of the machine; None for an error of another kind."""
    if isinstance(error, MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY_TEXTS):
        return _OUT_OF_MEMORY
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or "Too many open files" in str(error):
        return _TOO_MANY_FILES
    if str(error).startswith("Symlink loop"):
        # raised by Path.resolve before Python 3.13
        return f"{printable(str(error))}: {_REASONS[errno.ELOOP]}"
    if not isinstance(error, OSError) or error.errno not in _REASONS:
        return None
    return f"cannot use {_short(error.filename)}: {_REASONS[error.errno]}"


def _message(error: LightsegError) -> str:
    """Return the message of an error, without the traceback that torch adds to an error of a data worker."""
    text = str(error)
    if "Original Traceback" in text:
        text = text.rpartition(f"{type(error).__name__}: ")[2].strip()
    # it may contain names and contents of files
    return printable(text)


def _short(path: object) -> str:
    """Return a path for a message, shortened in the middle if it is long."""
    text = printable(str(path or "a file"))
    return text if len(text) <= 300 else f"{text[:100]} … {text[-100:]}"


def _quiet() -> None:
    """Silence warnings that a user can do nothing about; each comment gives the reason."""
    for message in (
        # lightning 2.6 calls torch's pytree in a way that torch >= 2.12 deprecates
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
        # the interval is shortened to the epoch
        "The number of training batches .* is smaller than the logging interval",
        # a tuple that is a transform's default is saved as a list, which the transform takes too
        "\\s*Dump of a value that does not\\s+round-trip: a tuple",
        # overfitting trains on the same few batches in the same order
        "You requested to overfit but enabled (train|val) dataloader shuffling",
        # the hook divides the net between devices, and averaged weights are refused with that
        "You're using the WeightAveraging callback with a model that overrides the configure_model",
        # a resumed run writes into its old folder
        "Checkpoint directory .* exists and is not empty",
        # the sampler resumes within the epoch
        "You're resuming from a checkpoint that ended before the epoch ended and your dataloader is not resumable",
        # the number of workers follows the cores of the machine, or was set by the user
        "The '.*_dataloader' does not have many workers",
    ):
        warnings.filterwarnings("ignore", message=message)
