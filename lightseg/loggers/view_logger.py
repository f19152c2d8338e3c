"""Base classes of the loggers that show the run folder elsewhere."""

import contextlib
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from lightseg.files.printable import warn
from lightseg.loggers.folder_logger import FolderLogger
from lightseg.tracking.log_view import LogView
from lightseg.tracking.picture_view import PictureView


class ViewLogger(FolderLogger):
    """Base class of loggers that show the run folder elsewhere; no failure of theirs ends a training.

    Attributes:
        tool: Name of the tool in messages.
    """

    tool: str

    def __init__(self) -> None:
        super().__init__()
        self._broken = False
        self._view: LogView | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Check the options and the installation, before the run folder exists."""

    @abstractmethod
    def attach(self, folder: Path) -> None:
        """Open the view of a new or resumed run folder."""

    @abstractmethod
    def finish(self, exit_code: int) -> None:
        """End the view, with the results of a finished run."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # noqa: ARG002
        """Send the complete rows of the run folder's log, which is written before."""
        if self._view is not None:
            self._safely("while logging", self._view.follow)

    @abstractmethod
    def _remedy(self) -> str:
        """Return what to do about an incomplete view."""

    def _safely(self, when: str, action: Callable[[], object]) -> None:
        """Call a function; its first error is a warning, after which nothing more is called."""
        if self._broken:
            return
        try:
            action()
        except Exception as error:  # no error of the tool may end the training
            self._broken = True
            self._warn(f"{when}: {self._describe(error)}")

    def _describe(self, error: Exception) -> str:
        """Return an error as one line."""
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]

    def _warn(self, problem: str) -> None:
        warn(f"{self.tool}, {problem}; nothing of the run is lost; {self._remedy()}")


class PictureLogger(ViewLogger):
    """Base class of loggers whose view has numbers and pictures."""

    def __init__(self) -> None:
        super().__init__()
        self._view: PictureView | None = None

    @abstractmethod
    def _open(self, folder: Path) -> PictureView:
        """Return the view of a new or resumed run folder."""

    def _remedy(self) -> str:
        return f"afterwards: python -m lightseg.sync {self.folder} --to {self.tool.lower()}"

    @rank_zero_only
    def attach(self, folder: Path) -> None:
        """Open the view of a new or resumed run folder, and send what it lacks."""
        self.folder = folder

        def follow() -> None:
            self._view = self._open(folder)
            self._view.follow()

        self._safely("at the start", follow)

    @rank_zero_only
    def log_hyperparams(self, *_: object, **__: object) -> None:
        """Do nothing; the config is sent at the start."""

    @rank_zero_only
    def finish(self, exit_code: int) -> None:
        """End the view, with the results of a finished run."""
        view = self._view
        if view is None:
            return
        try:
            self._safely("at the end", view.follow)
            self._safely("at the end", view.complete)
            self._safely("at the end", lambda: view.end(exit_code))
            if self._broken:
                # the view is incomplete, and would go on to show the run as running
                with contextlib.suppress(Exception):
                    view.end(exit_code or 1)
        except KeyboardInterrupt:
            self._warn("at the end: given up, as asked for")
