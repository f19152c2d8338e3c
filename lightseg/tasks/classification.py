"""Classification: one class per image."""

from typing import ClassVar, Literal

from torch import Tensor

from lightseg.errors import ConfigError
from lightseg.metrics.scores import classification_scores
from lightseg.tasks.base import Task


class ClassificationTask(Task):
    """Task with one class per image; the score is accuracy. The options are those of `Task`."""

    kind: ClassVar[Literal["segmentation", "classification"]] = "classification"

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits `(N, K)` of normalized float images `(N, C, H, W)`.

        Raises:
            ConfigError: If the net is a segmentation net.
        """
        logits: Tensor = self.net(images)
        if logits.ndim != 2:
            raise ConfigError(
                f"{type(self.net).__name__} gives one class for each pixel; take TimmNet, SimpleCNN or the like"
            )
        return logits

    def scores(self, counts: Tensor) -> dict[str, float]:
        """Return accuracy, balanced accuracy, macro F1 and the recall of each class."""
        return classification_scores(counts.cpu().numpy(), self.classes)
