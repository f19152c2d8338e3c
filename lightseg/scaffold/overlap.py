"""Overlap of classes: the share of the pixels, or images, with a class that have several."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lightseg.data import AnnotatedImages, MultilabelAnnotatedImages
from lightseg.data.datasets.annotated_dataset import AnnotatedDataset
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.datasets.label_dataset import LabelDataset
from lightseg.data.datasets.multilabel_mask_dataset import MultilabelMaskDataset
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.scaffold.layout import Layout

_PROBED = 40
"""Masks that are read."""

_LEAST_OVERLAP, _LEAST_REMARK = 0.1, 0.001
"""Shares from which on outlines become a mask for each class, and from which on a comment names that way."""

_ONE_CLASS_OPTIONS = ("background", "overlap")
"""Options of outlines that give each pixel one class."""


def measure_overlap(part: FileDataset) -> float:
    """Return the share of the pixels, or images, with a class that have several.

    Args:
        part: Data whose classes may overlap; samples that cannot be used are left out.
    """
    numbers = np.zeros(2, np.int64)
    if isinstance(part, LabelDataset):
        numbers += _count(part.label_ids)
    elif isinstance(part, AnnotatedDataset | MultilabelMaskDataset):
        for index in spread(_PROBED, len(part)):
            with suppress(DataError):
                numbers += _count(part.mask(index))
    num_labeled, num_overlapping = numbers.tolist()
    return num_overlapping / max(num_labeled, 1)


def choose_drawing(layout: Layout, answers: Mapping[str, Any]) -> Layout:
    """Return the layout with a mask for each class if outlines overlap much; any other layout as it is.

    Args:
        layout: The layout of a folder.
        answers: Options of the data that the user states.

    Raises:
        DataError: If the annotations cannot be used.
    """
    has_one_class = set(_ONE_CLASS_OPTIONS) & answers.keys() or "background" in (answers.get("classes") or ())
    if layout.module is not AnnotatedImages or has_one_class:
        return layout
    options = {name: value for name, value in layout.options.items() if name not in _ONE_CLASS_OPTIONS}
    share = measure_overlap(MultilabelAnnotatedImages(**{**options, **answers}).make_dataset("train"))
    reasons = dict(layout.reasons)
    rule = reasons.pop("overlap", "later objects are above earlier ones")
    if share >= _LEAST_OVERLAP:
        return replace(layout, module=MultilabelAnnotatedImages, options=options, reasons=reasons)
    if share < _LEAST_REMARK:
        return layout
    remark = (
        f"{rule}; {share:.1%} of the pixels of objects have several classes, which "
        "configs/data/multilabel_annotated_images.yaml and configs/net/unet_multilabel.yaml would keep"
    )
    return replace(layout, options={"overlap": "order", **layout.options}, reasons={**reasons, "overlap": remark})


def _count(labels: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the number of pixels or images with a class, and of those with several, from labels `(…, K)`."""
    classes = (labels == 1).sum(-1)
    return int((classes > 0).sum()), int((classes > 1).sum())
