"""Folder of an evaluation: its name, its files, and the check of an existing folder."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightseg.errors import UserError
from lightseg.evaluation import extra_metrics
from lightseg.evaluation.counts import write_counts
from lightseg.evaluation.scoring import Scored
from lightseg.files.atomic import atomic_folder, nearest_folder, write_json
from lightseg.files.names import ENSEMBLE, METRICS
from lightseg.inference.inference_config import OVERLAP, InferenceConfig
from lightseg.metrics.per_image import PerImageResults
from lightseg.metrics.scores import Integers, mean
from lightseg.runs.fingerprint import differ
from lightseg.runs.metrics_log import plain_number
from lightseg.runs.records import read_mapping
from lightseg.visualization.examples import image_scores

_IDENTITY = ("split", "protocol", "data", "data_options", "sha256", "thresholds")
"""Facts that identify an evaluation."""

_NAMES = {"data_options": "options of the data", "sha256": "checkpoint"}


@dataclass(frozen=True)
class Record:
    """Evaluation with the facts that identify it.

    Attributes:
        facts: Split, protocol, data, options of the data that differ from the run's, checkpoint, precision and device,
            as plain data.
        numbers: Every score and every number of the extra metrics, by name, without the prefix of the split.
        scored: The scoring that they were computed from.
        splits: The split of each sample of the scored data.
        members: Run folder, checkpoint and SHA-256 hash of each member of an ensemble.
    """

    facts: dict[str, Any]
    numbers: dict[str, float]
    scored: Scored
    splits: Sequence[str]
    members: Sequence[Mapping[str, str | None]] = ()

    def write(self, folder: Path) -> None:
        """Write the folder atomically; an existing one is replaced."""
        split, classes = self.facts["split"], list(self.scored.evaluation.classes)
        metrics = {f"{split}/{name}": plain_number(value) for name, value in self.numbers.items()}
        with atomic_folder(folder) as temporary:
            write_counts(temporary, self.scored.counts, self.scored.evaluation)
            _write_images(temporary / "images.csv", self.scored.evaluation, self.splits)
            write_json(temporary / "views.json", extra_metrics.details(self.scored.extra_results, classes))
            if self.members:
                write_json(temporary / ENSEMBLE, {"members": list(self.members)})
            write_json(temporary / METRICS, {**self.facts, **metrics})


def folder_name(
    split: str,
    checkpoint: str,
    protocol: InferenceConfig,
    data_digest: str | None,
    thresholds: Sequence[float] | None = None,
) -> str:
    """Return the name of an evaluation: `test`, `val-last`, `test-window512-flip-threshold0.25`, `all-1a2b3c4d`.

    Args:
        split: The split.
        checkpoint: Stem of the checkpoint's file; empty for the best one of a run.
        protocol: Windows and test-time augmentation.
        data_digest: Hash of the data and its options; None for those of the run.
        thresholds: Thresholds that are not those of the run.
    """
    parts = [split, checkpoint]
    if protocol.window is not None:
        parts.append(f"window{protocol.window}")
        if protocol.overlap != OVERLAP:
            parts.append(f"overlap{protocol.overlap:g}")
    parts += protocol.tta
    if thresholds is not None:
        is_one = len({*thresholds}) == 1
        digest = hashlib.sha256(json.dumps([*thresholds]).encode()).hexdigest()[:8]
        parts.append(f"threshold{thresholds[0]:.4g}" if is_one else f"thresholds-{digest}")
    return "-".join(part for part in [*parts, (data_digest or "")[:8]] if part)


def data_hash(facts: Mapping[str, Any]) -> str:
    """Return the hash of the data of an evaluation and of its options that differ from the run's."""
    return hashlib.sha256(json.dumps([facts["data"], facts["data_options"]], sort_keys=True).encode()).hexdigest()


def require_same(folder: Path, facts: dict[str, Any]) -> None:
    """Check that the content of a folder may be replaced: nothing, or the same evaluation.

    Raises:
        UserError: If it holds something else.
    """
    nearest_folder(folder, "--out")
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        recorded = read_mapping(folder / "metrics.json")
        # records of older versions have no options of the data; thresholds of the run are none
        recorded = {"data_options": {}, "thresholds": None, **recorded}
        current = {"thresholds": None, **facts}
        differences = [name for name in _IDENTITY if recorded[name] != current[name]]
        if not differ(recorded["data"], facts["data"]):
            differences = [name for name in differences if name != "data"]
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder}: holds something that is no evaluation; give another --out or --name") from None
    if differences:
        names = " and ".join(_NAMES.get(name, name) for name in differences)
        raise UserError(f"{folder}: holds an evaluation of another {names}; give this one a --name, or remove that one")


def _write_images(path: Path, evaluation: PerImageResults, splits: Sequence[str]) -> None:
    """Write a row for each image with a valid pixel: score, pixels, IoU of each class, or the classes.

    The score is the mean of the IoUs of the classes in the truth or the prediction; the cell of other classes is empty,
    and that of the score if there are none.
    """
    scores, counts = image_scores(evaluation), evaluation.dense
    means = mean(scores, 1)
    rows: list[list[Any]] = []
    for image, (name, index) in enumerate(zip(evaluation.images, evaluation.indices, strict=True)):
        row = [name, splits[index], "" if np.isnan(means[image]) else f"{means[image]:.6f}"]
        if evaluation.kind.endswith("classification"):
            row += [_join(evaluation.classes, counts[image, part]) for part in (1, 2)]
        else:
            row += [counts[image, 1].sum(), *["" if np.isnan(score) else f"{score:.6f}" for score in scores[image]]]
        rows.append(row)
    columns = ["truth", "prediction"]
    if evaluation.kind.endswith("segmentation"):
        pixels = "valid_pixels" if evaluation.kind == "segmentation" else "true_pixels"
        columns = [pixels, *[f"iou/{name}" for name in evaluation.classes]]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name", "split", "score", *columns], *rows])


def _join(classes: Sequence[str], counts: Integers) -> str:
    """Return the names of the classes with counts."""
    return ", ".join(name for name, count in zip(classes, counts, strict=True) if count)
