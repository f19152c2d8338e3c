"""Errors for users: one message and an exit code, without a traceback."""

import difflib
from collections.abc import Iterable


class LightsegError(Exception):
    """Expected failure; `str(error)` is the complete message for the user."""

    exit_code = 1


class UserError(LightsegError):
    """Wrong input; the message names it and the fix, and nothing has been started or changed."""

    exit_code = 2


class ConfigError(UserError):
    """Mistake in a recipe, an overlay or a command-line option."""


class DataError(UserError):
    """Mistake in an image, a mask or the layout of a dataset; the message names the file."""


class RunError(LightsegError):
    """Failure of a run: the loss diverged, or the best checkpoint did not repeat its score."""


class StoppedError(LightsegError):
    """Stop of a run by a signal.

    Args:
        received: The number of the signal.
        folder: The run folder; `None` on processes that do not write.
        verb: The verb that goes on with it.
    """

    def __init__(self, received: int, folder: object, verb: str = "fit") -> None:
        super().__init__(f"go on with: python -m lightseg.{verb} --resume {folder}" if folder else "stopped")
        self.received = received
        self.exit_code = 128 + received


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is nearest to a misspelt word; None if none is near."""
    names = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[near[0]] if near else None


def did_you_mean(word: str, choices: Iterable[str], otherwise: int = 0) -> str:
    """Return the end of a message about a misspelt name: `; did you mean X?`.

    Args:
        word: The misspelt name.
        choices: The valid names.
        otherwise: Number of choices to list where none is near; 0 for none.
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
