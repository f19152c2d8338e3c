"""Saliency of a few images, and a test of its faithfulness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightseg.comparison.text import percent
from lightseg.data.io.images import visible
from lightseg.explanation import attribution
from lightseg.explanation.attribution import Question
from lightseg.explanation.collect import Observations
from lightseg.explanation.deletion import SHARES, Deletion, delete
from lightseg.explanation.examples import per_image
from lightseg.explanation.gallery import Exhibit, Gallery
from lightseg.files.evenly_spaced import spread

_PROBES = 12
"""So many images are asked about, each about one class."""

_FROM, _TO = 0.005, 0.5
"""A class is asked about where it has a share of the image between these."""

_TOLD = 1
"""Which of `SHARES` the captions tell about."""


@dataclass(frozen=True)
class Saliency:
    """Attributions with the test of each.

    Attributes:
        method: What they are called.
        exhibits: An image, and where the class is seen in it, for each that is shown.
        deletions: The test of each, shown or not.
    """

    method: str
    exhibits: list[Exhibit]
    deletions: list[Deletion]


def compute_saliency(statistics: Observations, gallery: Gallery, number: int) -> Saliency | None:
    """Ask about classes that the task says are there; None where there are none.

    Args:
        statistics: What was said about the split.
        gallery: Its images.
        number: So many are shown.
    """
    chosen = choose(statistics)
    if not chosen:
        return None
    name, attribute = attribution.method(gallery.task, gallery.batch(chosen[0][0])["image"])
    exhibits: list[Exhibit] = []
    deletions: list[Deletion] = []
    for index, label in chosen:
        question = Question.ask(gallery.task, gallery.batch(index)["image"], label)
        values = attribute(question)
        deletions.append(delete(question, values, seed=index))
        if len(exhibits) < number:
            image = visible(question.image[0].permute(1, 2, 0).cpu().numpy())
            where = (values / values.max().clamp_min(1e-12)).double().cpu().numpy()
            pictures = [gallery.photo(image, statistics.names[index])]
            pictures.append(gallery.heat(where, f"what speaks for {statistics.classes[label]}", image))
            exhibits.append(Exhibit(statistics.classes[label], _told(deletions[-1]), pictures))
    return Saliency(name, exhibits, deletions)


def choose(statistics: Observations) -> list[tuple[int, int]]:
    """Images and classes that are said to be there, the classes by turns, their images spread over the split."""
    confidence = per_image(statistics)[:, 2]
    shares = confidence / confidence.sum(1, keepdims=True).clip(1)
    possible = shares == 1 if statistics.kind == "classification" else (shares >= _FROM) & (shares <= _TO)
    images = [np.flatnonzero(column) for column in possible.T]
    places = [each[spread(_PROBES, len(each))].tolist() if len(each) else [] for each in images]
    chosen: dict[int, int] = {}
    while len(chosen) < _PROBES and any(places):
        for label, candidates in enumerate(places):
            while candidates and candidates[0] in chosen:
                candidates.pop(0)
            if candidates and len(chosen) < _PROBES:
                chosen[candidates.pop(0)] = label
    return list(chosen.items())


def _told(done: Deletion) -> str:
    share, most, random = (percent(float(each[_TOLD]), 0) for each in (np.array(SHARES), done.most, done.random))
    return (
        f"probability {percent(done.probability, 0)} %, of which {most} % is left when the {share} % of the image that "
        f"speak most for it are blurred, {random} % when as much is blurred at random"
    )
