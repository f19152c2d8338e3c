"""The errors that a user meets: one clear message and an exit code, never a traceback."""

import difflib
from collections.abc import Iterable


class LightsegError(Exception):
    """A failure that lightseg foresaw; `str(error)` is the whole message for the user."""

    exit_code = 1


class UserError(LightsegError):
    """Something given to lightseg was wrong; the message names it and the fix. Nothing has been started or changed."""

    exit_code = 2


class ConfigError(UserError):
    """A recipe, an overlay or a command-line option is wrong."""


class DataError(UserError):
    """An image, a mask or a dataset's layout is wrong; the message names the file."""


class RunError(LightsegError):
    """The run itself failed: the loss diverged, or the best checkpoint did not give its number back."""


class StoppedError(LightsegError):
    """A signal stopped the run.

    Args:
        received: The signal's number.
        folder: The run folder; `None` on processes that do not write.
    """

    def __init__(self, received: int, folder: object) -> None:
        super().__init__(f"go on with: python -m lightseg.fit --resume {folder}" if folder else "stopped")
        self.received = received
        self.exit_code = 128 + received


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that a misspelt word is nearest to; None where none is near."""
    names = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[near[0]] if near else None


def did_you_mean(word: str, choices: Iterable[str], otherwise: int = 0) -> str:
    """The end of a message about a misspelt name: `; did you mean X?`.

    Args:
        word: What was given.
        choices: What could have been.
        otherwise: How many of the choices to list where none is near; 0 for none.
    """
    choices = list(choices)
    near = closest(word, choices)
    if near is not None:
        return f"; did you mean {near}?"
    listed = list({choice.lower(): choice for choice in choices}.values())
    more = ", …" if len(listed) > otherwise else ""
    return f"; there are {', '.join(listed[:otherwise])}{more}" if otherwise and listed else ""


def require(condition: bool, message: str) -> None:
    """Raise `ConfigError(message)` unless the condition holds."""
    if not condition:
        raise ConfigError(message)
