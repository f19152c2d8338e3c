"""Selection of the images to show: the worst of each class, the largest confusions, the most uncertain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightseg.explanation.collect import Observations
from lightseg.explanation.error_types import components
from lightseg.explanation.gallery import Gallery, Picture, PictureGroup
from lightseg.labels import IGNORE
from lightseg.metrics.formatting import percent
from lightseg.metrics.scores import Integers, iou
from lightseg.visualization.examples import Image

_CLASSES = 12
"""Largest number of classes, those with the lowest scores."""

_CONFUSIONS = 8
"""Largest number of confusions, the most frequent ones."""

_MARGIN = 0.5
"""Margin of a crop around a region on each side, as a share of the region's longer side."""

_LEAST = 48
"""Least side of a crop, in pixels."""


def per_image_counts(observations: Observations) -> npt.NDArray[np.int64]:
    """Return the numbers of right, true and predicted pixels of each image and class, int64 `(N, 3, C)`."""
    images, classes, cells = len(observations.names), len(observations.classes), observations.cells
    right = cells.where(cells["truth"] == cells["prediction"])
    counts = [right.sums(image=images, truth=classes)]
    counts += [cells.sums(**{"image": images, column: classes}) for column in ("truth", "prediction")]
    return np.stack(counts, 1)


def worst_images(observations: Observations, gallery: Gallery, number: int) -> list[PictureGroup]:
    """Return the images with the lowest IoU of each class in them, classes with the lowest IoU first.

    Of a classification, the wrong images with the lowest probability of their true class.
    """
    if observations.kind == "classification":
        return [_image_group(gallery, index) for index in _least_likely(observations, number)]
    counts = per_image_counts(observations)
    sums = counts.sum(0)
    # an absent class is in no image
    scores, overall = iou(counts), np.where(sums[1] > 0, iou(sums), np.nan)
    groups: list[PictureGroup] = []
    for label in np.argsort(overall, kind="stable")[: min(_CLASSES, int((~np.isnan(overall)).sum()))]:
        # of images with equal scores, the one with more pixels of the class first
        images = np.flatnonzero(counts[:, 1, label])
        order = np.lexsort((-counts[images, 1, label], scores[images, label]))
        for index in images[order][:number]:
            if scores[index, label] < 1:
                score = f"IoU {percent(float(scores[index, label]))} %"
                groups.append(_mask_group(gallery, int(index), f"{observations.classes[label]}: {score}"))
    return groups


def _least_likely(observations: Observations, number: int) -> list[int]:
    """Return the wrong images of each class, those with the lowest probability of the truth first."""
    wrong = observations.cells.where(observations.cells["truth"] != observations.cells["prediction"])
    indices: list[int] = []
    recalls = np.diag(observations.confusion) / observations.confusion.sum(1).clip(1)
    for label in np.argsort(recalls, kind="stable")[:_CLASSES]:
        images = wrong["image"][wrong["truth"] == label]
        indices += images[np.argsort(observations.truth_probability[images], kind="stable")][:number].tolist()
    return indices


def largest_confusions(observations: Observations) -> list[tuple[int, int, int]]:
    """Return true class, predicted class and count of the largest cells off the diagonal of the confusion matrix."""
    counts = observations.confusion - np.diag(np.diag(observations.confusion))
    order = np.argsort(-counts, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [tuple(map(int, np.unravel_index(cell, counts.shape))) for cell in order]
    return [(truth, predicted, int(counts[truth, predicted])) for truth, predicted in pairs if counts[truth, predicted]]


def confusion_crops(
    observations: Observations, gallery: Gallery, confusion: tuple[int, int], number: int
) -> list[PictureGroup]:
    """Return the images with the most pixels of a confusion, each as a crop around its largest region."""
    truth, predicted = confusion
    cells = observations.cells
    cells = cells.where((cells["truth"] == truth) & (cells["prediction"] == predicted))
    if observations.kind == "classification":
        order = np.argsort(observations.truth_probability[cells["image"]], kind="stable")
        return [_image_group(gallery, int(index)) for index in cells["image"][order][:number]]
    counts = cells.sums(image=len(observations.names))
    images = np.argsort(-counts, kind="stable")[:number]
    return [_crop(observations, gallery, int(index), truth, predicted) for index in images if counts[index]]


def most_uncertain(observations: Observations, gallery: Gallery, number: int) -> list[PictureGroup]:
    """Return the images with the highest mean entropy, with their uncertainty beside their errors."""
    order = np.argsort(-np.nan_to_num(observations.entropy, nan=-1), kind="stable")[:number]
    groups = []
    for index in order.tolist():
        result = gallery.predict(index)
        if not result.target.ndim:
            groups.append(_image_group(gallery, index, f"entropy {percent(float(result.entropy))} %"))
            continue
        pictures = [gallery.photo(result.image), gallery.mask(result.prediction, "prediction")]
        pictures += [gallery.heat(result.entropy, "uncertainty"), gallery.errors(result.target, result.prediction)]
        title = f"mean entropy {percent(float(observations.entropy[index]))} %"
        groups.append(PictureGroup(result.name, title, pictures))
    return groups


def _mask_group(gallery: Gallery, index: int, title: str) -> PictureGroup:
    """Return an image of a segmentation with truth, prediction and errors."""
    result = gallery.predict(index)
    return PictureGroup(title, result.name, _mask_pictures(gallery, result.image, result.target, result.prediction))


def _mask_pictures(
    gallery: Gallery, image: Image, target: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64]
) -> list[Picture]:
    return [
        gallery.photo(image),
        gallery.mask(target, "truth"),
        gallery.mask(prediction, "prediction"),
        gallery.errors(target, prediction),
    ]


def _image_group(gallery: Gallery, index: int, remark: str = "") -> PictureGroup:
    """Return an image of a classification with its prediction and its confidence."""
    result, names = gallery.predict(index), gallery.task.classes
    confidence = percent(float(result.probabilities.max()), 0)
    prediction = f"predicted as {names[int(result.prediction)]}, {confidence} % sure"
    is_true = result.target == result.prediction or result.target == IGNORE
    title = prediction if is_true else f"{names[int(result.target)]}: {prediction}"
    return PictureGroup(title, remark, [gallery.photo(result.image, result.name)])


def _crop(observations: Observations, gallery: Gallery, index: int, truth: int, predicted: int) -> PictureGroup:
    result = gallery.predict(index)
    confused = np.where((result.target == truth) & (result.prediction == predicted), 0, IGNORE)
    regions = components(confused)
    sizes = regions.count(confused == 0)
    largest = int(np.argmax(sizes))
    positions = enumerate(np.nonzero(regions.labels == largest))
    rows, columns = (_window(coordinates, result.target.shape[axis]) for axis, coordinates in positions)
    target, prediction = (ids[rows, columns] for ids in (result.target, result.prediction))
    confusion = f"{observations.classes[truth]} predicted as {observations.classes[predicted]}"
    pictures = _mask_pictures(gallery, result.image[rows, columns], target, prediction)
    return PictureGroup(f"{confusion}: {sizes[largest]:,} pixels", result.name, pictures)


def _window(coordinates: Integers, side: int) -> slice:
    """Return the range of a crop along an axis of `side` pixels around coordinates on it."""
    low, high = int(coordinates.min()), int(coordinates.max()) + 1
    length = min(side, max(_LEAST, round((1 + 2 * _MARGIN) * (high - low))))
    start = min(max(0, (low + high - length) // 2), side - length)
    return slice(start, start + length)
