"""Data module of a first recipe, while its options are chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.scaffold.layout import Options


@dataclass
class Draft:
    """Data module whose options are chosen one after another; those that the user states stay as they are.

    Attributes:
        module: Class of the data module.
        answers: Options that the user states.
        options: Options so far.
        reasons: Comments on them.
    """

    module: type[FileDataModule]
    answers: Options
    options: dict[str, Any]
    reasons: dict[str, str]

    def add(self, options: Options, reasons: Mapping[str, str]) -> None:
        """Add options and their comments."""
        self.options |= {**options, **self.answers}
        self.reasons |= reasons

    def build(self, **changes: Any) -> FileDataModule:
        """Return the data module."""
        return self.module(**{**self.options, **changes})
