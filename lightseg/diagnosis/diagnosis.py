"""Diagnosis of a data set by all checks.

The survey reads the samples in parallel processes; the checks after it work on its summaries in this process, which
takes 0.02 s of 11 s on the 701 images of CamVid, apart from the augmented samples.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset, require_dataset
from lightseg.data.io.error_collector import collect_errors
from lightseg.data.splits import LeakError
from lightseg.data.types import SPLITS, Batch, Split
from lightseg.diagnosis.annotations import annotation_findings
from lightseg.diagnosis.brightness import Brightness, brightness_findings, measure_brightness
from lightseg.diagnosis.classes import ClassRow, class_findings, class_rows, tiny_findings
from lightseg.diagnosis.contact_sheet import draw_samples, joined, objects_of
from lightseg.diagnosis.duplicates import duplicate_findings
from lightseg.diagnosis.files import (
    alpha_findings,
    file_findings,
    layout_findings,
    unlisted_findings,
    unnamed_findings,
    unread_findings,
)
from lightseg.diagnosis.findings import SEVERITIES, Finding, from_message
from lightseg.diagnosis.first_samples import first_samples, require_own_ids
from lightseg.diagnosis.masks import (
    empty_findings,
    interpolation_findings,
    shift_findings,
    turn_findings,
    value_findings,
)
from lightseg.diagnosis.padding import padding_findings
from lightseg.diagnosis.samples import Sample, survey
from lightseg.diagnosis.sequences import sequence_findings
from lightseg.errors import DataError, UserError
from lightseg.nets.base import Normalization

_AUGMENTED = 64
"""Number of augmented samples for the checks of the train transforms."""


@dataclass
class Diagnosis:
    """Findings and statistics of a data set.

    Attributes:
        findings: The findings, the most severe first.
        sizes: Number of samples of each split.
        rows: Statistics of each class.
        brightness: Mean and deviation of the images; None if they could not be measured.
        augmented: Augmented training samples; empty if the data would stop a training.
    """

    findings: list[Finding]
    sizes: dict[Split, int] = field(default_factory=dict)
    rows: list[ClassRow] = field(default_factory=list)
    brightness: Brightness | None = None
    augmented: list[Batch] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Return whether there are no errors and no warnings."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def trains(self) -> bool:
        """Return whether nothing would stop a training."""
        return all(finding.severity != "error" for finding in self.findings)

    def add(self, findings: Sequence[Finding]) -> None:
        """Add findings, in the order of severity."""
        self.findings = sorted([*self.findings, *findings], key=lambda finding: SEVERITIES.index(finding.severity))


def diagnose(data: ImageDataModule, normalization: Normalization | None = None) -> Diagnosis:
    """Run all checks of a data set; a finding of one does not stop the others.

    Args:
        data: The data module.
        normalization: Mean and deviation that images are normalized by; by default those of the data module.

    Raises:
        DataError: If the data does not exist.
    """
    data.prepare_data()
    with collect_errors() as problems:
        parts = _parts(data, problems)
    samples = survey(data, parts)
    readable = [sample for sample in samples if sample.readable]
    diagnosis = Diagnosis(layout_findings(problems), {split: len(part) for split, part in parts.items()})
    diagnosis.add([*file_findings(samples, parts), *unread_findings(parts)])
    diagnosis.add([*unlisted_findings(data), *alpha_findings(readable)])
    unnamed = unnamed_findings(samples, parts)
    # masks of unknown meaning have no class statistics
    labelled = [] if unnamed else readable
    diagnosis.add([*unnamed, *interpolation_findings(labelled, data.classes), *shift_findings(labelled)])
    diagnosis.add([*turn_findings(labelled), *annotation_findings(labelled, parts)])
    if data.kind == "segmentation":
        diagnosis.add(empty_findings(labelled, data.classes, data.multilabel))
    diagnosis.add(duplicate_findings(samples))
    if not any(isinstance(problem, LeakError) for problem in problems):
        diagnosis.add(sequence_findings(data, samples))
    diagnosis.brightness = measure_brightness(data, readable, normalization)
    diagnosis.add([*class_findings(data, labelled), *brightness_findings(diagnosis.brightness)])
    diagnosis.rows = class_rows(data, labelled)
    diagnosis.add([_empty_split(split) for split, part in parts.items() if not len(part) and split != "test"])
    if diagnosis.trains:
        diagnosis.add(value_findings(data))
    if diagnosis.trains:
        _check_augmented(data, samples, diagnosis)
    return diagnosis


def _parts(data: ImageDataModule, problems: list[DataError]) -> dict[Split, ImageDataset]:
    """Return the splits that can be built; the errors of others are added to the problems.

    Raises:
        DataError: If a split cannot be built, and no problem was collected that may be the reason.
    """
    parts: dict[Split, ImageDataset] = {}
    for split in SPLITS:
        try:
            parts[split] = require_dataset(data.make_dataset(split), f"{type(data).__name__}.make_dataset")
        except DataError as error:
            if not problems:
                raise
            if str(error) not in map(str, problems):
                problems.append(error)
    return parts


def _empty_split(split: Split) -> Finding:
    return Finding(
        "empty split",
        "error",
        f"the {split} split is empty",
        "put samples there, or let a share of train be it, as data.val_fraction does",
    )


def _check_augmented(data: ImageDataModule, samples: Sequence[Sample], diagnosis: Diagnosis) -> None:
    """Add findings about augmented training samples: errors that would stop a training, padding and tiny classes."""
    try:
        with _one_thread():
            data.check_training()
            require_own_ids(data, first_samples(data))
            augmented = draw_samples(data, _AUGMENTED)
            joined(augmented[: data.batch_size])
        diagnosis.augmented = augmented
    except UserError as error:
        diagnosis.add([from_message("training", "error", str(error))])
    except Exception as error:  # transforms raise arbitrary exceptions
        what = f"the samples cannot be drawn: {type(error).__name__}: {error}"
        diagnosis.add([Finding("training", "error", what, "change data.train_transforms, or the images")])
    if data.kind == "segmentation":
        objects = [objects_of(batch, data.num_classes) for batch in diagnosis.augmented]
        diagnosis.add([*padding_findings(data, samples, diagnosis.augmented), *tiny_findings(data, objects)])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread, which is ten times as fast for single samples."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
