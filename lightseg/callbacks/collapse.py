"""Classes that the net has given up."""

import sys
from collections.abc import Collection
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightseg.tasks import Task

SHARE = 0.01
"""A class that is predicted less often than this, relative to how often it is there, has collapsed."""


class CollapseWarning(L.Callback):
    """Says which classes have collapsed in two validations in a row, each class once in a run.

    A score that is a mean over classes, or an accuracy, can rise all the while.
    """

    def __init__(self) -> None:
        self._last: set[int] = set()
        self._said: set[int] = set()

    def on_validation_end(self, trainer: L.Trainer, task: Task) -> None:  # type: ignore[override]
        """Look at the confusion matrix of a validation of the training."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        now = collapsed(task.counts["val"])
        news = (now & self._last) - self._said
        self._last = now
        self._said |= news
        if news and trainer.is_global_zero:
            print(_message(news, task.classes), file=sys.stderr, flush=True)

    def state_dict(self) -> dict[str, Any]:
        """What had collapsed at the last validation, and what has been said."""
        return {"last": sorted(self._last), "said": sorted(self._said)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._last, self._said = set(state["last"]), set(state["said"])


def collapsed(counts: Tensor) -> set[int]:
    """The classes of the truth whose predictions are fewer than `SHARE` of what is there.

    Args:
        counts: int64 `(C, C)`, rows the truth, columns the prediction.
    """
    truth, predicted = counts.double().sum(1), counts.double().sum(0)
    return set(torch.nonzero(predicted < SHARE * truth).flatten().tolist())


def _message(ids: Collection[int], classes: list[str]) -> str:
    names = ", ".join(classes[index] for index in sorted(ids))
    return (
        f"warning: hardly ever predicted in the last two validations: {names}\n"
        "If that stays so, try --model.class_weights sqrt_inverse, --model.logit_adjustment 1.0 or "
        "--data.sampling class_balanced"
    )
