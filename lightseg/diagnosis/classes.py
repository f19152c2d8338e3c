"""Class table, and findings about missing, rare and tiny classes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.transforms.rare_classes import rare_classes
from lightseg.data.types import SPLITS, ClassCounts
from lightseg.diagnosis.findings import Finding
from lightseg.diagnosis.samples import Sample
from lightseg.errors import DataError
from lightseg.files.printable import format_count

_TINY = 4.0
"""Typical side in pixels below which the objects of a class are reported as tiny."""

_FEW = 5
"""Least number of objects for a statement about a class's size."""

_SEEDS, _MOST_SAMPLES = 50, 10_000
"""Seeds of a random split that are tried, and samples up to which they are."""


@dataclass(frozen=True)
class ClassRow:
    """Statistics of a class.

    Attributes:
        name: Name of the class.
        pixels: Its pixels in train; for classification, its samples.
        share: Their share of all that are not void; of overlapping classes, of those of the class.
        images: Number of images with the class, in the order of the splits.
        smallest: Pixels of its smallest object in train; None without objects.
        side: Typical side of its objects in train (`typical_side`); None without objects.
    """

    name: str
    pixels: int
    share: float
    images: tuple[int, ...]
    smallest: int | None
    side: float | None


def class_rows(data: ImageDataModule, samples: Sequence[Sample]) -> list[ClassRow]:
    """Return a row for each class."""
    tables = {split: _table(data, samples, split) for split in SPLITS}
    pixels = tables["train"].sum(0)
    valid = sum((s.valid for s in samples if s.split == "train" and s.readable), np.zeros(data.num_classes, np.int64))
    rows = []
    for label, name in enumerate(data.classes):
        areas = [s.objects[label] for s in samples if s.split == "train" and label in s.objects]
        sizes = np.concatenate(areas) if areas else np.zeros(0, np.int64)
        images = tuple(int((tables[split][:, label] > 0).sum()) for split in SPLITS)
        smallest, side = (int(sizes.min()), typical_side(sizes)) if len(sizes) else (None, None)
        share = float(pixels[label] / max(valid[label], 1))
        rows.append(ClassRow(name, int(pixels[label]), share, images, smallest, side))
    return rows


def class_findings(data: ImageDataModule, samples: Sequence[Sample]) -> list[Finding]:
    """Report missing classes, and note rare ones."""
    tables = {split: _table(data, samples, split) for split in SPLITS}
    findings = []
    trained = tables["train"].any(0)
    for split in SPLITS:
        absent = ~tables[split].any(0) & (trained | (split == "train"))
        names = [data.classes[label] for label in np.flatnonzero(absent).tolist()]
        if names and len(tables[split]):
            what = f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not occur in {split}"
            mend = "put images with it there, or leave the class out of data.classes"
            if split != "train":
                mend = _split_remedy(data, samples, split, np.flatnonzero(absent).tolist())
            findings.append(Finding("missing class", "warning" if split == "train" else "note", what, mend))
    pixels = tables["train"].sum(0)
    if rare := rare_classes(pixels, data.classes):
        listed = ", ".join(f"{data.classes[label]} ({pixels[label] / pixels.sum():.2%})" for label in rare)
        what = f"rare, below half of an equal share of train: {listed}"
        cure = "positive_weights: balanced" if data.multilabel else "class_weights: median_frequency"
        mend = f"add to model.init_args, or take another of the cures for rare classes:\n  {cure}"
        findings.append(Finding("imbalance", "note", what, mend))
    return findings


def tiny_findings(data: ImageDataModule, objects: Sequence[dict[int, ClassCounts]]) -> list[Finding]:
    """Warn of classes whose objects are tiny after the train transforms.

    Args:
        data: The data module.
        objects: Pixels of each object, by class, of some augmented training samples.
    """
    tiny = []
    for label, name in enumerate(data.classes):
        areas = [sizes[label] for sizes in objects if label in sizes]
        sizes = np.concatenate(areas) if areas else np.zeros(0, np.int64)
        if len(sizes) >= _FEW and typical_side(sizes) < _TINY:
            tiny.append(f"{name} ({typical_side(sizes):.1f} pixels)")
    if not tiny:
        return []
    what = f"tiny as training sees them, in {format_count(len(objects), 'augmented sample')}: {', '.join(tiny)} across"
    mend = "in data.train_transforms, raise height and width of Resize, or scale_limit of RandomScale"
    return [Finding("tiny class", "warning", what, mend)]


def typical_side(sizes: ClassCounts) -> float:
    """Return the square root of the pixel-weighted median object size, in which specks count little."""
    ordered = np.sort(sizes)
    cumulative = np.cumsum(ordered)
    return float(np.sqrt(ordered[np.searchsorted(cumulative, cumulative[-1] / 2)]))


def _split_remedy(data: ImageDataModule, samples: Sequence[Sample], split: str, labels: Sequence[int]) -> str:
    """Return how classes of train get into `val` or `test`, too.

    Args:
        data: The data module.
        samples: Its surveyed samples.
        split: The split that lacks the classes.
        labels: The ids of the classes.
    """
    folds = "; or cross-validate by `--folds 5`, where each image of train and val validates once"
    if not isinstance(data, FileDataModule) or split not in data.random_splits or data.deals_folds:
        return f"move images with it from train to {split}{folds if split == 'val' else ''}"
    seed = _find_split_seed(data, samples, labels)
    if seed is not None:
        return f"take a random split that has every class in every part: --data.split_seed {seed}"
    fewest = min(sum(bool(sample.counts[label]) for sample in samples if sample.readable) for label in labels)
    return f"add images with it, since {format_count(fewest, 'image')} cannot be in every split{folds}"


def _find_split_seed(data: FileDataModule, samples: Sequence[Sample], labels: Sequence[int]) -> int | None:
    """Return a seed of the random split that puts every class of enough images into every split.

    Returns:
        None if none is found, or none of the given classes has enough images.
    """
    has_class = {sample.name: sample.counts[:-1] > 0 for sample in samples if sample.readable}
    is_required = np.sum(list(has_class.values()), axis=0) >= len({sample.split for sample in samples})
    if len(samples) > _MOST_SAMPLES or not is_required[list(labels)].any():
        return None
    with suppress(DataError):
        for seed in range(1, _SEEDS + 1):
            parts = [part for part in data.split_by_seed(seed).values() if len(part)]
            names = [[name for index in range(len(part)) if (name := part.name(index)) in has_class] for part in parts]
            if all(part and np.any([has_class[name] for name in part], axis=0)[is_required].all() for part in names):
                return seed
    return None


def _table(data: ImageDataModule, samples: Sequence[Sample], split: str) -> ClassCounts:
    """Return the pixels of each class in each readable sample of a split, `(N, C)`."""
    rows = [sample.counts[:-1] for sample in samples if sample.split == split and sample.readable]
    return np.array(rows, np.int64).reshape(len(rows), data.num_classes)
