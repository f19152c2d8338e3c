"""Predictions of finished runs, computed again from the checkpoint, the recipe and the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightseg.comparison.results import Trial
from lightseg.errors import DataError
from lightseg.runs.fingerprint import differ
from lightseg.runs.read import Run

if TYPE_CHECKING:
    from lightseg.labels import Color
    from lightseg.tasks import Stage
    from lightseg.visualization.examples import Example


def predict_again(
    trial: Trial, split: Stage, names: Sequence[str], images: Sequence[int], trust: bool = False
) -> tuple[dict[int, Example], list[Color]]:
    """Predict some images with the best checkpoints of a trial.

    Args:
        trial: Run, or the runs of all folds, each of which predicts the images that it was scored on.
        split: Split of the images.
        names: Names of all images of the comparison.
        images: Indices of the images to predict, into `names`.
        trust: Run the classes of others that the runs name, see `lightseg.load`.

    Returns:
        The examples by index; one RGB color per class.

    Raises:
        DataError: If the data is missing, or differs from the data that the run was scored on.
        UserError: If the checkpoint cannot be loaded.
    """
    examples: dict[int, Example] = {}
    palette: list[Color] = []
    keys = _numbered(names)
    for run in trial.runs:
        evaluation = run.evaluation(split)
        if evaluation is None:
            continue
        dataset_indices = dict(zip(_numbered(evaluation.images), evaluation.indices.tolist(), strict=True))
        indices = {image: dataset_indices[keys[image]] for image in images if keys[image] in dataset_indices}
        if indices:
            predictions, palette = _predict(run, split, list(indices.values()), trust)
            examples |= zip(indices, predictions, strict=True)
    return examples, palette


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Number the images of each name, so that each pair of name and number is unique."""
    counts = Counter[str]()
    numbered = []
    for name in names:
        numbered.append((name, counts[name]))
        counts[name] += 1
    return numbered


def _predict(run: Run, split: Stage, indices: Sequence[int], trust: bool) -> tuple[list[Example], list[Color]]:
    from lightseg.checkpoint.loading import load
    from lightseg.checkpoint.locate import follow_imports
    from lightseg.checkpoint.rebuild import data_and_block, keep_image_values
    from lightseg.tasks.examples import predict

    if trust:
        follow_imports(run.folder)
    task = load(run.folder, trust)
    data, _, block = data_and_block(run.config, trust=trust, file=run.folder / "config.yaml")
    keep_image_values(data, task.recipe, block)
    if differ(data.split_fingerprint(split), run.data[split].get("sha256")):
        raise DataError(f"the {split} split is not any more what {run.label} was scored on")
    return predict(task, data, split, indices), data.palette
