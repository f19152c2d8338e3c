"""Recipe whose data is built first, and its net later or never."""

from typing import Any

import yaml

from lightseg.checkpoint.rebuild import build_data
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.data import ImageDataModule
from lightseg.tasks import Task


class Recipe(LightsegCLI):
    """Parses a command line as `fit` does, and builds nothing until it is asked for it."""

    def instantiate_classes(self) -> None:
        """Nothing yet."""

    def data(self) -> ImageDataModule:
        """Return the data module; no net is made."""
        config: dict[str, Any] = yaml.safe_load(self.resolved_config())
        return build_data(config, trust=True, file=None)

    def task(self) -> Task:
        """Return the task with its net.

        Raises:
            UserError: If it cannot be made, or does not fit the data.
        """
        super().instantiate_classes()
        task: Task = self.model
        return task
