"""Soup of runs, accepted only if it is no worse on the validation split than the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightseg.checkpoint.locate import model_file
from lightseg.checkpoint.soup import average_weights
from lightseg.errors import ConfigError, RunError
from lightseg.evaluation.scoring import Scorer
from lightseg.evaluation.split_data import SplitData
from lightseg.evaluation.trained_model import TrainedModel
from lightseg.hardware.precision_names import canonical_precision
from lightseg.metrics.absent_classes import absent
from lightseg.tasks import Task


@dataclass(frozen=True)
class Soup:
    """Mean of the weights of several runs.

    Attributes:
        task: The task with these weights.
        score: Its score on the validation split.
        best: Run folder of the best member.
        best_score: Score of that member on the validation split.
        metadata: Its scores, protocol and members, which replace those of a run in the metadata of an export.
    """

    task: Task
    score: float
    best: Path
    best_score: float
    metadata: dict[str, Any]


def make_soup(folders: Sequence[Path], data_options: Sequence[str], trust: bool = False) -> Soup:
    """Average the weights of runs, and score the result on their validation split.

    Args:
        folders: Run folders, whose best checkpoints are meant.
        data_options: Command-line options that change the data, such as `--data.root OTHER`.
        trust: As in `lightseg.load`.

    Raises:
        ConfigError: If the runs differ in anything but the values of their weights, or in their validation split.
        RunError: If the soup is worse than the best of the runs.
    """
    model = TrainedModel.of_runs([(model_file(folder).resolve(), folder.resolve()) for folder in folders], trust)
    model.require_unseen("val")
    data, changes = model.data(None, data_options)
    for key in changes:
        raise ConfigError(f"--{key}: changes what the runs were scored on; leave it out")
    data.batch_size = model.images_per_pass(data.batch_size)
    data.prepare_data()
    split_data = SplitData(data, "val")
    if not model.is_own(split_data.fingerprints):
        raise ConfigError("--soup: this is not the validation split of the runs; --data.root says where it is")
    scores = {folder: _val_score(member) for folder, member in zip(folders, model.members, strict=True)}
    best = max(scores, key=lambda folder: scores[folder])
    task = average_weights([member.task for member in model.members], [str(folder) for folder in folders])
    trainer = model.config["trainer"]
    accelerator = "cpu" if trainer["accelerator"] == "cpu" else "auto"
    scored = Scorer(task, accelerator, 1, canonical_precision(trainer["precision"])).score(split_data, "val", {})
    score = scored.scores["score"]
    if score < scores[best]:
        raise RunError(
            f"--soup: the mean of the weights scores {score:.4f} on val, the best of the runs {scores[best]:.4f}; "
            f"export that one ({best}), or average the probabilities (evaluate, predict)"
        )
    evaluation = scored.evaluation
    metadata = {
        "split": "val",
        "score": score,
        "scores": {name: value for name, value in scored.scores.items() if name != "score"},
        "absent": absent(evaluation.dense[:, 1].sum(0), evaluation.classes),
        "protocol": evaluation.protocol,
        "images": len(evaluation.images),
        "checkpoint": {"file": model.label, "sha256": model.sha256},
    }
    return Soup(task, score, best, scores[best], metadata)


def _val_score(member: TrainedModel) -> float:
    """Return the recorded validation score of a run.

    Raises:
        ConfigError: If it has none.
    """
    score = member.recorded("metrics.json").get("val/score")
    if score is None:
        raise ConfigError(f"--soup: {member.run} has no val score, against which the soup is measured; leave it out")
    return float(score)
