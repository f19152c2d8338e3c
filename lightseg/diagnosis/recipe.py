"""Recipe whose data module can be built without its net."""

from typing import Any

import yaml

from lightseg.checkpoint.rebuild import build_data
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.data import ImageDataModule
from lightseg.hardware.devices import require_accelerator, require_precision, training_device
from lightseg.tasks import Task


class RecipeCLI(LightsegCLI):
    """Recipe of a command line as `fit` parses it, built on demand."""

    def instantiate_classes(self) -> None:
        """Build nothing; `data` and `task` do."""

    def require_machine(self) -> None:
        """Require that this machine has the accelerator and the precision of the recipe.

        Raises:
            ConfigError: If it does not.
        """
        trainer = self.config.trainer
        require_accelerator(trainer.accelerator)
        require_precision(trainer.precision, training_device(trainer.accelerator, trainer.devices), "trainer.precision")

    def data(self) -> ImageDataModule:
        """Build the data module alone."""
        config: dict[str, Any] = yaml.safe_load(self.resolved_config())
        return build_data(config, trust=True, file=None)

    def task(self) -> Task:
        """Build the task with its net.

        Raises:
            UserError: If it cannot be built, or does not fit the data.
        """
        super().instantiate_classes()
        task: Task = self.model
        return task
