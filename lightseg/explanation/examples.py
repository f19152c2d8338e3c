"""Selection of the images to show: the worst of each class, the largest confusions, the most uncertain.

Of classes that may overlap, confusions are false alarms where another class is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightseg.explanation.collect import LabelStatistics, Observations
from lightseg.explanation.error_types import components
from lightseg.explanation.gallery import Gallery, ImagePrediction, Picture, PictureGroup
from lightseg.labels import IGNORE
from lightseg.metrics.formatting import percent
from lightseg.metrics.scores import Integers, dice, iou
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
    """Return the numbers of right, true and predicted pixels of each image and class, int64 `(N, 3, C)`.

    Of classes that may overlap, those of the absence of each class are behind them, `(N, 3, 2 C)`.
    """
    images, choices, cells = len(observations.names), observations.num_choices, observations.cells
    right = cells.where(cells["truth"] == cells["prediction"])
    counts = [right.sums(image=images, truth=choices)]
    counts += [cells.sums(**{"image": images, column: choices}) for column in ("truth", "prediction")]
    return np.stack(counts, 1)


def worst_images(observations: Observations, gallery: Gallery, number: int) -> list[PictureGroup]:
    """Return the images with the lowest IoU of each class in them, classes with the lowest IoU first.

    Of a classification, the wrong images with the lowest probability of the truth.
    """
    if observations.kind == "classification":
        choose = _least_likely_labels if observations.labels else _least_likely
        return [_image_group(gallery, index, label) for index, label in choose(observations, number)]
    counts = per_image_counts(observations)[..., : len(observations.classes)]
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
                groups.append(_mask_group(gallery, int(index), int(label), score))
    return groups


def _least_likely(observations: Observations, number: int) -> list[tuple[int, None]]:
    """Return the wrong images of each class, those with the lowest probability of the truth first, and no label."""
    wrong = observations.cells.where(observations.cells["truth"] != observations.cells["prediction"])
    indices: list[int] = []
    recalls = np.diag(observations.confusion) / observations.confusion.sum(1).clip(1)
    for label in np.argsort(recalls, kind="stable")[:_CLASSES]:
        images = wrong["image"][wrong["truth"] == label]
        indices += images[np.argsort(observations.truth_probability[images], kind="stable")][:number].tolist()
    return [(index, None) for index in indices]


def _least_likely_labels(observations: Observations, number: int) -> list[tuple[int, int]]:
    """Return the wrong images of each class, and the class; classes with the lowest F1 first, images likewise."""
    classes, cells = len(observations.classes), observations.cells
    wrong = cells.where(cells["truth"] != cells["prediction"])
    pairs: list[tuple[int, int]] = []
    # an undefined F1 comes last
    scores = dice(per_image_counts(observations).sum(0)[:, :classes])
    for label in np.argsort(scores, kind="stable")[:_CLASSES].tolist():
        images = wrong["image"][wrong["truth"] % classes == label]
        order = np.argsort(observations.truth_probability[images, label], kind="stable")
        pairs += [(index, label) for index in images[order][:number].tolist()]
    return pairs


def largest_confusions(observations: Observations) -> list[tuple[int, int, int]]:
    """Return true class, predicted class and count of the largest cells off the diagonal of the confusion matrix.

    Of classes that may overlap, the false alarms where another class is that are most beyond its share of all pixels
    (or images) without the predicted class.
    """
    if observations.labels:
        return _largest_coincidences(observations.labels, observations.confusion)
    counts = observations.confusion - np.diag(np.diag(observations.confusion))
    order = np.argsort(-counts, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [tuple(map(int, np.unravel_index(cell, counts.shape))) for cell in order]
    return [(truth, predicted, int(counts[truth, predicted])) for truth, predicted in pairs if counts[truth, predicted]]


def _largest_coincidences(labels: LabelStatistics, confusion: Integers) -> list[tuple[int, int, int]]:
    classes = len(labels.thresholds)
    counts = labels.alarms.sums(truth=classes, prediction=classes)
    absent = confusion[classes:].sum(1)
    alarms = np.diag(confusion[classes:, :classes])
    excess = counts - alarms * labels.absences.T / absent.clip(1)
    order = np.argsort(-excess, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [tuple(map(int, np.unravel_index(cell, counts.shape))) for cell in order if excess.flat[cell] >= 1]
    return [(truth, predicted, int(counts[truth, predicted])) for truth, predicted in pairs]


def confusion_crops(
    observations: Observations, gallery: Gallery, confusion: tuple[int, int], number: int
) -> list[PictureGroup]:
    """Return the images with the most pixels of a confusion, each as a crop around its largest region."""
    truth, predicted = confusion
    cells = observations.labels.alarms if observations.labels else observations.cells
    cells = cells.where((cells["truth"] == truth) & (cells["prediction"] == predicted))
    if observations.kind == "classification":
        label = (predicted,) if observations.labels else ()
        order = np.argsort(observations.truth_probability[cells["image"], *label], kind="stable")
        return [_image_group(gallery, int(index), *label) for index in cells["image"][order][:number]]
    counts = cells.sums(image=len(observations.names))
    images = np.argsort(-counts, kind="stable")[:number]
    return [_crop(observations, gallery, int(index), truth, predicted) for index in images if counts[index]]


def most_uncertain(observations: Observations, gallery: Gallery, number: int) -> list[PictureGroup]:
    """Return the images with the highest mean entropy, with their uncertainty beside their errors."""
    order = np.argsort(-np.nan_to_num(observations.entropy, nan=-1), kind="stable")[:number]
    groups = []
    for index in order.tolist():
        result = gallery.predict(index)
        if observations.kind == "classification":
            groups.append(_image_group(gallery, index, remark=f"entropy {percent(float(result.entropy))} %"))
            continue
        pictures = [gallery.photo(result.image), gallery.mask(result.prediction, "prediction")]
        pictures += [gallery.heat(result.entropy, "uncertainty"), gallery.errors(result.target, result.prediction)]
        title = f"mean entropy {percent(float(observations.entropy[index]))} %"
        groups.append(PictureGroup(result.name, title, pictures))
    return groups


def _mask_group(gallery: Gallery, index: int, label: int, score: str) -> PictureGroup:
    """Return an image of a segmentation with truth, prediction and errors, because of a class and its score."""
    result = gallery.predict(index)
    pictures = _mask_pictures(gallery, result.image, result.target, result.prediction, label)
    return PictureGroup(f"{gallery.task.classes[label]}: {score}", result.name, pictures)


def _mask_pictures(
    gallery: Gallery, image: Image, target: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], label: int
) -> list[Picture]:
    """Return image, truth, prediction and errors; of classes that may overlap, the errors about one of them."""
    return [
        gallery.photo(image),
        gallery.mask(target, "truth"),
        gallery.mask(prediction, "prediction"),
        gallery.errors(target, prediction)
        if target.ndim == 2
        else gallery.label_errors(target[label], prediction[label], gallery.task.classes[label]),
    ]


def _image_group(gallery: Gallery, index: int, label: int | None = None, remark: str = "") -> PictureGroup:
    """Return an image of a classification with its prediction and its confidence, or that about one of its labels."""
    result = gallery.predict(index)
    if not result.target.ndim:
        title = _class_title(result, gallery.task.classes)
    elif label is None:
        title = _labels_title(result, gallery.task.classes)
    else:
        error = "missed" if result.target[label] == 1 else "false alarm"
        probability = percent(float(result.probabilities[label]), 0)
        title = f"{gallery.task.classes[label]}: {error}, probability {probability} %"
    return PictureGroup(title, remark, [gallery.photo(result.image, result.name)])


def _class_title(result: ImagePrediction, names: Sequence[str]) -> str:
    confidence = percent(float(result.probabilities.max()), 0)
    prediction = f"predicted as {names[int(result.prediction)]}, {confidence} % sure"
    is_true = result.target == result.prediction or result.target == IGNORE
    return prediction if is_true else f"{names[int(result.target)]}: {prediction}"


def _labels_title(result: ImagePrediction, names: Sequence[str]) -> str:
    """Return the predicted labels, behind the true ones if a valid one is wrong."""
    truth, predicted = (
        ", ".join(name for name, value in zip(names, values, strict=True) if value == 1) or "nothing"
        for values in (result.target, result.prediction)
    )
    is_true = ((result.target == result.prediction) | (result.target == IGNORE)).all()
    return f"predicted as {predicted}" if is_true else f"{truth}: predicted as {predicted}"


def _crop(observations: Observations, gallery: Gallery, index: int, truth: int, predicted: int) -> PictureGroup:
    result = gallery.predict(index)
    if observations.labels:
        is_alarm = (result.target[predicted] == 0) & (result.prediction[predicted] == 1)
        confused = np.where(is_alarm & (result.target[truth] == 1), 0, IGNORE)
        confusion = f"{observations.classes[predicted]} predicted at {observations.classes[truth]}"
    else:
        confused = np.where((result.target == truth) & (result.prediction == predicted), 0, IGNORE)
        confusion = f"{observations.classes[truth]} predicted as {observations.classes[predicted]}"
    regions = components(confused)
    sizes = regions.count(confused == 0)
    largest = int(np.argmax(sizes))
    positions = enumerate(np.nonzero(regions.labels == largest))
    rows, columns = (_window(coordinates, confused.shape[axis]) for axis, coordinates in positions)
    target, prediction = (ids[..., rows, columns] for ids in (result.target, result.prediction))
    pictures = _mask_pictures(gallery, result.image[rows, columns], target, prediction, predicted)
    return PictureGroup(f"{confusion}: {sizes[largest]:,} pixels", result.name, pictures)


def _window(coordinates: Integers, side: int) -> slice:
    """Return the range of a crop along an axis of `side` pixels around coordinates on it."""
    low, high = int(coordinates.min()), int(coordinates.max()) + 1
    length = min(side, max(_LEAST, round((1 + 2 * _MARGIN) * (high - low))))
    start = min(max(0, (low + high - length) // 2), side - length)
    return slice(start, start + length)
