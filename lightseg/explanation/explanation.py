"""All that is explained of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightseg.explanation import attribution, examples
from lightseg.explanation.collect import Observations, collect
from lightseg.explanation.findings import Finding, find
from lightseg.explanation.gallery import Exhibit, Gallery
from lightseg.explanation.saliency import Saliency, compute_saliency

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.tasks import Stage, Task
    from lightseg.visualization.examples import Color


@dataclass(frozen=True)
class Explanation:
    """All that is explained of a run.

    Attributes:
        split: The split.
        protocol: How the predictions were made.
        score: The score on the split.
        palette: One RGB colour per class.
        seen: What was said about it.
        findings: Where errors are concentrated, the most important first.
        worst: The worst images of each class.
        crops: The largest confusions: true class, what it is said to be, how often, with examples.
        uncertain: The most uncertain images.
        probes: What the net looks at; or, in words, why that is not known.
    """

    split: str
    protocol: str
    score: float
    palette: Sequence[Color]
    seen: Observations
    findings: list[Finding]
    worst: list[Exhibit]
    crops: list[tuple[int, int, int, list[Exhibit]]]
    uncertain: list[Exhibit]
    probes: Saliency | str


def explain(task: Task, data: ImageDataModule, split: Stage, number: int) -> Explanation:
    """Explain what a task says about a split.

    Args:
        task: In eval mode, on the device that it is to be asked on.
        data: The data.
        split: Which of its splits.
        number: So many images are shown of each kind, half as many of each confusion.

    Raises:
        DataError: If no pixel of the split is valid, or a file is broken.
    """
    import torch

    statistics, gallery = collect(task, data, split), Gallery(task, data, split)
    return Explanation(
        split,
        str(task.protocol),
        task.scores(torch.from_numpy(statistics.confusion))["score"],
        data.palette,
        statistics,
        find(statistics),
        examples.worst(statistics, gallery, number),
        [
            (*pair, examples.crops(statistics, gallery, pair[:2], -(-number // 2)))
            for pair in examples.confusions(statistics)
        ],
        examples.uncertain(statistics, gallery, number),
        _probes(statistics, gallery, number),
    )


def _probes(statistics: Observations, gallery: Gallery, number: int) -> Saliency | str:
    if not attribution.is_installed():
        return "This takes captum: pip install 'lightseg[explain]'"
    try:
        return compute_saliency(statistics, gallery, number) or "No class is said to be in any image."
    # a net of any make; the rest of the page does not need it
    except Exception as error:
        return f"The maps cannot be made: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
