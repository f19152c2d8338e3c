"""Hint at the doctor in errors of single files, of which there may be more."""

import re
import shlex
from collections.abc import Sequence

from lightseg.data.annotations.drawing import UndeclaredClassError
from lightseg.data.datasets.mask_dataset import SizeError
from lightseg.data.io.error_collector import LayoutError
from lightseg.data.io.images import BrokenFileError
from lightseg.data.io.label_map import UndeclaredError
from lightseg.data.io.masks import LossyMaskError
from lightseg.data.splits import LeakError
from lightseg.errors import DataError

_FILE_ERRORS = (
    *(SizeError, BrokenFileError, UndeclaredError, UndeclaredClassError, LossyMaskError),
    *(LayoutError, LeakError),
)
"""Errors at which a training stops and the doctor goes on."""


def add_doctor_hint(error: DataError, args: Sequence[str]) -> None:
    """Append the doctor's command line to the message of an error of single files, in place.

    Args:
        error: The error.
        args: The command line of `fit`.
    """
    if isinstance(error, _FILE_ERRORS):
        command = shlex.join(["python", "-m", "lightseg.doctor", *_data_options(args)])
        error.args = (f"{error}\nthis is the first problem of the data; `{command}` lists all",)


def _data_options(args: Sequence[str]) -> list[str]:
    """Return the recipes and the options of the data of a command line, as the doctor takes them."""
    recipes, options = list[str](), list[str]()
    words = iter(args)
    for word in words:
        name, separator, value = word.partition("=")
        if name not in ("-c", "--config") and not re.match(r"--data(\.|$)", name):
            continue
        value = value if separator else next(words, "")
        if name in ("-c", "--config"):
            recipes.append(value)
        else:
            options += [word] if separator else [word, value]
    return [*recipes, *options]
