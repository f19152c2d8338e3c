"""Scores of the re-loaded best checkpoint, which must repeat the score that training logged."""

import math
from typing import Any

import lightning as L

from lightseg.callbacks import ScoringPrinter
from lightseg.data import ImageDataModule
from lightseg.errors import RunError
from lightseg.evaluation.counts import TOLERANCE, score_split
from lightseg.tasks import Stage, Task


def score_checkpoint(trainer: L.Trainer, task: Task, data: ImageDataModule, logged_score: Any) -> dict[str, float]:
    """Score val, which must agree with the score that training logged, then test, once.

    Args:
        trainer: The trainer; it loses its callbacks, but for the progress bar or lines.
        task: The re-loaded task.
        data: The data.
        logged_score: The best val score that training logged; None where no validation took place.

    Returns:
        The scores and the loss by name, such as `val/loss`.

    Raises:
        RunError: If the score differs, a loss is not finite, or a pixel was left out.
    """
    # those of the training, such as averaged weights, must not change the re-loaded task
    loggers, trainer.loggers = trainer.loggers, []
    trainer.callbacks = [trainer.progress_bar_callback or ScoringPrinter()]  # type: ignore[attr-defined]
    results: dict[str, float] = {}
    splits: tuple[Stage, Stage] = ("val", "test")
    for split in splits:
        if len(data.dataset(split)) and getattr(trainer, f"limit_{split}_batches") != 0:
            results |= _score_split(trainer, task, data, split)
    if logged_score is not None:
        _require_same_score(results["val/score"], float(logged_score))
    trainer.loggers = loggers
    return results


def _score_split(trainer: L.Trainer, task: Task, data: ImageDataModule, split: Stage) -> dict[str, float]:
    limit = getattr(trainer, f"limit_{split}_batches")
    is_complete = isinstance(limit, float) and limit == 1 and not trainer.overfit_batches  # type: ignore[attr-defined]
    scores = score_split(trainer, task, data, split, split, is_complete)
    if task.counts[split].any() and not math.isfinite(scores["loss"]):
        raise RunError(
            f"{split}/loss is {scores['loss']} with the best checkpoint: the net's outputs or the loss's weights are "
            "beyond what their numbers can hold; try a lower model.optimizer.lr or trainer.precision: 32-true"
        )
    return {f"{split}/{name}": value for name, value in scores.items()}


def _require_same_score(score: float, logged_score: float) -> None:
    """Require that the re-loaded checkpoint repeats the score that it was chosen for."""
    # in this form, a score of NaN fails too
    if not abs(score - logged_score) <= TOLERANCE:
        raise RunError(
            f"the best checkpoint scores {score:.6f} on val when loaded again, but {logged_score:.6f} was logged in "
            "training: its numbers cannot be trusted. Does the net keep state outside its state_dict?"
        )
