"""Selection of the images to show: the worst of each class, the largest confusions, the most uncertain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightseg.comparison.text import percent
from lightseg.explanation.collect import Observations
from lightseg.explanation.error_types import components
from lightseg.explanation.gallery import Exhibit, Gallery
from lightseg.explanation.table import Ints
from lightseg.labels import IGNORE
from lightseg.metrics.scores import iou

_CLASSES = 12
"""So many classes are shown, those with the lowest scores."""

_PAIRS = 8
"""So many confusions are shown, the most frequent ones."""

_MARGIN = 0.5
"""What is shown around a region, as a share of its longer side, on each side."""

_LEAST = 48
"""Pixels that are shown of an image at least."""


def per_image(statistics: Observations) -> npt.NDArray[np.int64]:
    """Pixels right, true and predicted of each image and class, int64 `(N, 3, C)`."""
    shape = {"image": len(statistics.names)}
    right = statistics.cells.where(statistics.cells["truth"] == statistics.cells["prediction"])
    counts = [right.sums(**shape, truth=len(statistics.classes))]
    counts += [
        statistics.cells.sums(**shape, **{column: len(statistics.classes)}) for column in ("truth", "prediction")
    ]
    return np.stack(counts, 1)


def worst(statistics: Observations, gallery: Gallery, number: int) -> list[Exhibit]:
    """Return the images with the lowest IoU of each class that they show, classes with the lowest IoU first.

    Of a classification, those whose true class was given the lowest probability, if another one was said.
    """
    if statistics.kind == "classification":
        return [_missed_image(gallery, index) for index in _least_likely(statistics, number)]
    counts = per_image(statistics)
    sums = counts.sum(0)
    # no image shows a class that is absent
    scores, overall = iou(counts), np.where(sums[1] > 0, iou(sums), np.nan)
    exhibits: list[Exhibit] = []
    for label in np.argsort(overall, kind="stable")[: min(_CLASSES, int((~np.isnan(overall)).sum()))]:
        # of equally bad images, the one with more of the class
        present = np.flatnonzero(counts[:, 1, label])
        order = np.lexsort((-counts[present, 1, label], scores[present, label]))
        for index in present[order][:number]:
            if scores[index, label] < 1:
                its = f"IoU {percent(float(scores[index, label]))} %"
                exhibits.append(_segmented(gallery, int(index), f"{statistics.classes[label]}: {its}"))
    return exhibits


def _least_likely(statistics: Observations, number: int) -> list[int]:
    """Return the wrong images of each class, those with the lowest probability of the truth first."""
    wrong = statistics.cells.where(statistics.cells["truth"] != statistics.cells["prediction"])
    chosen: list[int] = []
    recalls = np.diag(statistics.confusion) / statistics.confusion.sum(1).clip(1)
    for label in np.argsort(recalls, kind="stable")[:_CLASSES]:
        images = wrong["image"][wrong["truth"] == label]
        chosen += images[np.argsort(statistics.truth_probability[images], kind="stable")][:number].tolist()
    return chosen


def confusions(statistics: Observations) -> list[tuple[int, int, int]]:
    """True class, what it is said to be, and how often, for the largest cells off the diagonal."""
    counts = statistics.confusion - np.diag(np.diag(statistics.confusion))
    order = np.argsort(-counts, axis=None, kind="stable")[:_PAIRS]
    pairs = [tuple(map(int, np.unravel_index(cell, counts.shape))) for cell in order]
    return [
        (truth, prediction, int(counts[truth, prediction])) for truth, prediction in pairs if counts[truth, prediction]
    ]


def crops(statistics: Observations, gallery: Gallery, pair: tuple[int, int], number: int) -> list[Exhibit]:
    """Return the images with most of a confusion, and of each its largest region with what is around it."""
    truth, prediction = pair
    cells = statistics.cells.where(
        (statistics.cells["truth"] == truth) & (statistics.cells["prediction"] == prediction)
    )
    if statistics.kind == "classification":
        surest = cells["image"][np.argsort(statistics.truth_probability[cells["image"]], kind="stable")]
        return [_missed_image(gallery, int(index)) for index in surest[:number]]
    counts = cells.sums(image=len(statistics.names))
    most = np.argsort(-counts, kind="stable")[:number]
    return [_crop(statistics, gallery, int(index), truth, prediction) for index in most if counts[index]]


def uncertain(statistics: Observations, gallery: Gallery, number: int) -> list[Exhibit]:
    """Return the images with the highest mean entropy, with their uncertainty beside their errors."""
    order = np.argsort(-np.nan_to_num(statistics.entropy, nan=-1), kind="stable")[:number]
    exhibits = []
    for index in order.tolist():
        look = gallery.look(index)
        if not look.target.ndim:
            exhibits.append(_missed_image(gallery, index, f"entropy {percent(float(look.entropy))} %"))
            continue
        pictures = [gallery.photo(look.image), gallery.mask(look.prediction, "prediction")]
        pictures += [gallery.heat(look.entropy, "uncertainty"), gallery.errors(look.target, look.prediction)]
        exhibits.append(Exhibit(look.name, f"mean entropy {percent(float(statistics.entropy[index]))} %", pictures))
    return exhibits


def _segmented(gallery: Gallery, index: int, title: str) -> Exhibit:
    look = gallery.look(index)
    pictures = [gallery.photo(look.image), gallery.mask(look.target, "truth")]
    pictures += [gallery.mask(look.prediction, "prediction"), gallery.errors(look.target, look.prediction)]
    return Exhibit(title, look.name, pictures)


def _missed_image(gallery: Gallery, index: int, remark: str = "") -> Exhibit:
    """Return a whole image, with what was said about it and how surely."""
    look, names = gallery.look(index), gallery.task.classes
    sure = percent(float(look.probabilities.max()), 0)
    caption = f"predicted as {names[int(look.prediction)]}, {sure} % sure"
    is_true = look.target == look.prediction or look.target == IGNORE
    title = caption if is_true else f"{names[int(look.target)]}: {caption}"
    return Exhibit(title, remark, [gallery.photo(look.image, look.name)])


def _crop(statistics: Observations, gallery: Gallery, index: int, truth: int, said: int) -> Exhibit:
    look = gallery.look(index)
    confused = np.where((look.target == truth) & (look.prediction == said), 0, IGNORE)
    regions = components(confused)
    sizes = regions.count(confused == 0)
    largest = int(np.argmax(sizes))
    down, across = (
        _window(axis, look.target.shape[number]) for number, axis in enumerate(np.nonzero(regions.labels == largest))
    )
    target, prediction = (part[down, across] for part in (look.target, look.prediction))
    pictures = [
        gallery.photo(look.image[down, across]),
        gallery.mask(target, "truth"),
        gallery.mask(prediction, "prediction"),
    ]
    pictures.append(gallery.errors(target, prediction))
    title = f"{statistics.classes[truth]} predicted as {statistics.classes[said]}: {sizes[largest]:,} pixels"
    return Exhibit(title, look.name, pictures)


def _window(places: Ints, side: int) -> slice:
    """Return what is shown of an axis around some places on it."""
    low, high = int(places.min()), int(places.max()) + 1
    length = min(side, max(_LEAST, round((1 + 2 * _MARGIN) * (high - low))))
    start = min(max(0, (low + high - length) // 2), side - length)
    return slice(start, start + length)
