"""Folder of an evaluation: its name, what may take its place, and its files."""

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
from lightseg.inference.inference_config import InferenceConfig
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.fingerprint import differ
from lightseg.runs.metrics_log import plain_number
from lightseg.visualization.examples import image_scores

_IDENTITY = ("split", "protocol", "data", "data_options", "sha256")
"""What makes an evaluation another one."""

_NAMES = {"data_options": "options of the data", "sha256": "checkpoint"}


@dataclass(frozen=True)
class Record:
    """Evaluation with all that a reader must know of it.

    Attributes:
        facts: Split, protocol, data, options of the data that are not the run's, checkpoint and how it was computed, as
            plain data.
        numbers: Every score and every number of the views, by name, without the split's.
        scored: What they were computed from.
        splits: The split of each sample of the data that was scored.
    """

    facts: dict[str, Any]
    numbers: dict[str, float]
    scored: Scored
    splits: Sequence[str]

    def write(self, folder: Path) -> None:
        """Write the folder, whole or not at all; one that is there is replaced."""
        split, classes = self.facts["split"], list(self.scored.evaluation.classes)
        metrics = {f"{split}/{name}": plain_number(value) for name, value in self.numbers.items()}
        with atomic_folder(folder) as temporary:
            write_counts(temporary, self.scored.counts, self.scored.evaluation)
            _write_images(temporary / "images.csv", self.scored.evaluation, self.splits)
            write_json(temporary / "views.json", extra_metrics.details(self.scored.views, classes))
            write_json(temporary / "metrics.json", {**self.facts, **metrics})


def folder_name(split: str, checkpoint: str, protocol: InferenceConfig, suffix: str | None) -> str:
    """Return what an evaluation is called: `test`, `val-last`, `test-window512-flip`, `all-1a2b3c4d`.

    Args:
        split: The split.
        checkpoint: Stem of the checkpoint's file; empty where it is the best one of a run.
        protocol: How it is scored.
        suffix: Hash of the data and its options; None where they are the run's own.
    """
    parts = [split, checkpoint]
    if protocol.window is not None:
        parts.append(f"window{protocol.window}")
        if protocol.overlap != InferenceConfig.overlap:
            parts.append(f"overlap{protocol.overlap:g}")
    return "-".join(part for part in [*parts, *protocol.tta, (suffix or "")[:8]] if part)


def data_hash(facts: Mapping[str, Any]) -> str:
    """Hash of the data of an evaluation and of its options that are not the run's."""
    return hashlib.sha256(json.dumps([facts["data"], facts["data_options"]], sort_keys=True).encode()).hexdigest()


def require_same(folder: Path, facts: dict[str, Any]) -> None:
    """See that what a folder holds may be replaced: nothing, or the same evaluation.

    Raises:
        UserError: If it holds something else.
    """
    nearest_folder(folder, "--out")
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        recorded = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        # options of the data are not in the records of older versions
        recorded = {"data_options": {}, **recorded}
        differs = [name for name in _IDENTITY if recorded[name] != facts[name]]
        if not differ(recorded["data"], facts["data"]):
            differs = [name for name in differs if name != "data"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder}: holds something that is no evaluation; give another --out or --name") from None
    if differs:
        what = " and ".join(_NAMES.get(name, name) for name in differs)
        raise UserError(f"{folder}: holds an evaluation of another {what}; give this one a --name, or remove that one")


def _write_images(path: Path, evaluation: PerImageResults, splits: Sequence[str]) -> None:
    """Write a row for each image with a valid pixel: score, pixels, IoU of each class, or the classes.

    The score is the mean of the IoUs of the classes that are in truth or prediction, which has no cell otherwise.
    """
    scores, counts = image_scores(evaluation), evaluation.dense
    rows: list[list[Any]] = []
    for image, (name, index) in enumerate(zip(evaluation.images, evaluation.indices, strict=True)):
        row = [name, splits[index], f"{np.nanmean(scores[image]):.6f}"]
        if evaluation.kind == "classification":
            row += [evaluation.classes[int(counts[image, part].argmax())] for part in (1, 2)]
        else:
            row += [counts[image, 1].sum(), *["" if np.isnan(score) else f"{score:.6f}" for score in scores[image]]]
        rows.append(row)
    of_kind = ["truth", "prediction"]
    if evaluation.kind == "segmentation":
        of_kind = ["valid_pixels", *[f"iou/{name}" for name in evaluation.classes]]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name", "split", "score", *of_kind], *rows])
