"""Explanation of a run: statistics, findings, examples and saliency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightseg.explanation import attribution, examples
from lightseg.explanation.collect import Observations, collect
from lightseg.explanation.findings import ErrorFinding, find
from lightseg.explanation.gallery import Gallery, PictureGroup
from lightseg.explanation.saliency import Saliency, compute_saliency

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.labels import Color
    from lightseg.tasks import Stage, Task


@dataclass(frozen=True)
class Explanation:
    """Content of the page of a run.

    Attributes:
        split: The split.
        protocol: Windows and test-time augmentation of the predictions.
        score: The score on the split.
        palette: One RGB color per class.
        observations: Statistics of the split.
        findings: Concentrations of errors, the most important first.
        worst: The worst images of each class.
        crops: The largest confusions: true class, predicted class, count, and examples; see
            `examples.largest_confusions`.
        uncertain: The most uncertain images.
        saliency: The pixels that the net depends on; or the reason why they are not computed.
    """

    split: str
    protocol: str
    score: float
    palette: Sequence[Color]
    observations: Observations
    findings: list[ErrorFinding]
    worst: list[PictureGroup]
    crops: list[tuple[int, int, int, list[PictureGroup]]]
    uncertain: list[PictureGroup]
    saliency: Saliency | str


def explain(task: Task, data: ImageDataModule, split: Stage, number: int) -> Explanation:
    """Explain the predictions of a task for a split.

    Args:
        task: The task, in eval mode and on its device.
        data: The data.
        split: The split.
        number: Number of images of each kind; half as many for each confusion.

    Raises:
        DataError: If no pixel of the split is valid, or a file is broken.
    """
    import torch

    observations, gallery = collect(task, data, split), Gallery(task, data, split)
    labels = observations.labels
    crops = [
        (*confusion, examples.confusion_crops(observations, gallery, confusion[:2], -(-number // 2)))
        for confusion in examples.largest_confusions(observations)
    ]
    return Explanation(
        split,
        str(task.protocol),
        task.scores(torch.from_numpy(labels.histogram if labels else observations.confusion))["score"],
        data.palette,
        observations,
        find(observations),
        examples.worst_images(observations, gallery, number),
        crops,
        examples.most_uncertain(observations, gallery, number),
        _saliency(observations, gallery, number),
    )


def _saliency(observations: Observations, gallery: Gallery, number: int) -> Saliency | str:
    from lightseg.tasks import Ensemble

    if not attribution.is_installed():
        return "This takes captum: pip install 'lightseg[explain]'"
    if isinstance(gallery.task, Ensemble) and not gallery.task.shares_transforms:
        return "The members of the ensemble transform images in different ways."
    try:
        return compute_saliency(observations, gallery, number) or "No class is predicted in any image."
    # any net may fail here, and the other sections do not depend on it
    except Exception as error:
        return f"The maps cannot be made: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
