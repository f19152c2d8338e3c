"""Base class of the loggers of a run folder."""

from pathlib import Path

from lightning.pytorch.loggers import Logger


class FolderLogger(Logger):
    """Base class of the loggers of a run folder.

    Attributes:
        folder: The run folder; None on processes that do not write, and before it is created.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.folder = folder

    @property
    def name(self) -> str:
        """Return the experiment's name."""
        return self.folder.parent.name if self.folder else ""

    @property
    def version(self) -> str:
        """Return the run's name."""
        return self.folder.name if self.folder else ""

    @property
    def save_dir(self) -> str | None:
        """Return the folder for which `save_dir/name/version`, where Lightning's callbacks write, is the run folder."""
        return str(self.folder.parent.parent) if self.folder else None
