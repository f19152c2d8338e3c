"""Delivery of run folders to MLflow or TensorBoard at any time: each step once, as during a training."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lightseg.errors import RunError, UserError
from lightseg.files.printable import format_count, printable_line
from lightseg.tracking.log_view import extent
from lightseg.tracking.picture_view import PictureView

_REASON = 300
"""Limit of the characters of an error of a tool in a message."""


class Receiver(NamedTuple):
    """Tool that shows run folders.

    Attributes:
        name: Its name, for messages.
        newest_step: Returns the newest step of a run that it has completely; -1 if it has none.
        open_view: Opens its view of a run.
    """

    name: str
    newest_step: Callable[[Path], int]
    open_view: Callable[[Path], PictureView]


def mlflow_receiver(experiment: str | None, tracking_uri: str | None) -> Receiver:
    """Return MLflow as a receiver.

    Args:
        experiment: Experiment of a new MLflow run; None for that of the recipe.
        tracking_uri: Server or folder; None for that of the MLflow run, or else of the recipe.
    """
    from lightseg.tracking import mlflow_view

    def open_view(folder: Path) -> PictureView:
        options = mlflow_view.recipe_options(folder)
        name = experiment or options.get("experiment") or "lightseg"
        return mlflow_view.open_view(folder, name, tracking_uri, options.get("tags"))

    return Receiver("MLflow", lambda folder: mlflow_view.newest_step(folder, tracking_uri), open_view)


def tensorboard_receiver() -> Receiver:
    """Return TensorBoard as a receiver."""
    from lightseg.tracking import tensorboard_view

    return Receiver("TensorBoard", tensorboard_view.newest_step, tensorboard_view.TensorBoardView)


def deliver(folder: Path, receiver: Receiver) -> str:
    """Send what a tool lacks of a run, which no other process writes.

    Args:
        folder: The run folder.
        receiver: The tool.

    Returns:
        The message about the result.

    Raises:
        UserError: If the tool cannot be reached, or a file of the run is damaged.
        RunError: If the tool did not take everything.
    """
    state = extent(folder)
    if state["step"] < 0:
        return "there is no whole step yet"
    try:
        if receiver.newest_step(folder) >= state["step"]:
            return f"{receiver.name} has all of it already"
        view = _send(receiver.open_view(folder), exit_code=0 if state["finished"] else 1)
    except UserError:
        # a record of the folder is missing or damaged
        raise
    except Exception as error:  # the errors of the tools have no common base class
        reason = printable_line(str(error))[:_REASON] or type(error).__name__
        raise RunError(f"{folder}: {receiver.name}: {reason}; call sync again, it goes on where this ended") from None
    counts = f"{format_count(view.steps, 'step')} and {format_count(view.pictures, 'picture')}"
    note = "" if state["finished"] else "; the run is not finished"
    return f"{counts} sent, {receiver.name} has it up to step {state['step']}{note}"


def _send(view: PictureView, exit_code: int) -> PictureView:
    """Send the rest of a run, and end and return its view."""
    try:
        view.follow()
        view.complete()
    except Exception:
        # it would be shown as running
        with suppress(Exception):
            view.end(1)
        raise
    view.end(exit_code)
    return view
