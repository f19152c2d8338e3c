"""Warning about collapsed classes, which the net hardly predicts any more."""

from collections.abc import Collection
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightseg.data.transforms.rare_classes import rare_classes
from lightseg.files.printable import warn
from lightseg.tasks import Task

SHARE = 0.01
"""Ratio of predicted to true pixels of a class, below which it has collapsed."""

_RARE = (
    "If that stays so, try --model.class_weights sqrt_inverse, --model.logit_adjustment 1.0 or "
    "--data.sampling class_balanced"
)
_OVERLAPPING = "If that stays so, try --model.positive_weights balanced or --data.sampling class_balanced"
_COMMON = (
    "This is no matter of rare classes: after few steps, the statistics of BatchNorm are not settled yet. If that "
    "stays so, try more steps (trainer.max_epochs), a larger data.batch_size or a lower model.optimizer.lr"
)


class CollapseWarning(L.Callback):
    """Warns about classes that have collapsed in two validations in a row, once per class and run.

    The mean score over classes, or an accuracy, can rise at the same time.
    """

    def __init__(self) -> None:
        self._previous: set[int] = set()
        self._reported: set[int] = set()

    def on_validation_end(self, trainer: L.Trainer, task: Task) -> None:  # type: ignore[override]
        """Check the counts of a validation during training."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        _, truth, predicted = task.count_classes(task.counts["val"])
        current = collapsed(truth, predicted)
        new = (current & self._previous) - self._reported
        self._previous = current
        self._reported |= new
        if new and trainer.is_global_zero:
            warn(_message(new, task, truth))

    def state_dict(self) -> dict[str, Any]:
        """Return the classes that had collapsed at the last validation, and those that were reported."""
        return {"last": sorted(self._previous), "said": sorted(self._reported)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        self._previous, self._reported = set(state["last"]), set(state["said"])


def collapsed(truth: Tensor, predicted: Tensor) -> set[int]:
    """Return the classes of the truth whose predictions are fewer than `SHARE` of their pixels (or samples).

    Args:
        truth: Pixels (or samples) of each class, int64 `(C,)`.
        predicted: Those that are predicted.
    """
    return set(torch.nonzero(predicted < SHARE * truth).flatten().tolist())


def _message(ids: Collection[int], task: Task, truth: Tensor) -> str:
    """Return the warning with its advice; what helps rare classes does not help any other."""
    names = ", ".join(task.classes[index] for index in sorted(ids))
    has_rare = bool({*ids} & {*rare_classes(truth.numpy(), task.classes)})
    advice = _OVERLAPPING if task.multilabel else _RARE if has_rare else _COMMON
    return f"hardly ever predicted in the last two validations: {names}\n{advice}"
