"""Saliency of a few images, and a test of its faithfulness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightseg.data.io.images import visible
from lightseg.explanation import attribution
from lightseg.explanation.attribution import ClassTarget
from lightseg.explanation.collect import Observations
from lightseg.explanation.deletion import SHARES, Deletion, measure_deletion
from lightseg.explanation.examples import per_image_counts
from lightseg.explanation.gallery import Gallery, PictureGroup
from lightseg.files.evenly_spaced import spread
from lightseg.metrics.formatting import percent

_IMAGES = 12
"""Number of tested images, each for one class."""

_LEAST, _MOST = 0.005, 0.5
"""Least and largest share of an image for a class to be tested in it."""

_CAPTION_SHARE = 1
"""Index of the share in `SHARES` that captions report."""


@dataclass(frozen=True)
class Saliency:
    """Attributions with the deletion test of each.

    Attributes:
        method: Name of the attribution method.
        groups: Images beside their attributions.
        deletions: The test of each tested image, shown or not.
    """

    method: str
    groups: list[PictureGroup]
    deletions: list[Deletion]


def compute_saliency(observations: Observations, gallery: Gallery, number: int) -> Saliency | None:
    """Return attributions of predicted classes; None if no class is predicted in a moderate share of an image.

    Args:
        observations: Statistics of the split.
        gallery: Its images.
        number: Number of images beside their attributions.
    """
    choices = choose(observations)
    if not choices:
        return None
    name, attribute = attribution.choose_method(gallery.task, gallery.batch(choices[0][0])["image"])
    groups: list[PictureGroup] = []
    deletions: list[Deletion] = []
    for index, label in choices:
        target = ClassTarget.of(gallery.task, gallery.batch(index)["image"], label)
        values = attribute(target)
        deletions.append(measure_deletion(target, values, seed=index))
        if len(groups) < number:
            image = visible(target.image[0].permute(1, 2, 0).cpu().numpy())
            heat = (values / values.max().clamp_min(1e-12)).double().cpu().numpy()
            class_name = observations.classes[label]
            pictures = [gallery.photo(image, observations.names[index])]
            pictures.append(gallery.heat(heat, f"evidence for {class_name}", image))
            groups.append(PictureGroup(class_name, _caption(deletions[-1]), pictures))
    return Saliency(name, groups, deletions)


def choose(observations: Observations) -> list[tuple[int, int]]:
    """Return images and predicted classes to test, the classes in turn, with images spread evenly over the split."""
    predicted, classes = per_image_counts(observations)[:, 2], len(observations.classes)
    valid = predicted.sum(1, keepdims=True)
    if observations.labels:
        # each class has valid pixels of its own
        valid = predicted[:, :classes] + predicted[:, classes:]
    shares = predicted[:, :classes] / valid.clip(1)
    least, most = (1, 1) if observations.kind == "classification" else (_LEAST, _MOST)
    is_candidate = (shares >= least) & (shares <= most)
    queues = [_spread(np.flatnonzero(column)) for column in is_candidate.T]
    choices: dict[int, int] = {}
    while len(choices) < _IMAGES and any(queues):
        for label, queue in enumerate(queues):
            while queue and queue[0] in choices:
                queue.pop(0)
            if queue and len(choices) < _IMAGES:
                choices[queue.pop(0)] = label
    return list(choices.items())


def _spread(images: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[int]:
    """Return at most `_IMAGES` of some images, evenly spaced."""
    indices: list[int] = images[spread(_IMAGES, len(images))].tolist() if len(images) else []
    return indices


def _caption(deletion: Deletion) -> str:
    share, most, random = (
        percent(float(values[_CAPTION_SHARE]), 0) for values in (np.array(SHARES), deletion.most, deletion.random)
    )
    return (
        f"probability {percent(deletion.probability, 0)} %, of which {most} % remains when the {share} % of the image "
        f"with the most evidence are blurred, {random} % when as much is blurred at random"
    )
