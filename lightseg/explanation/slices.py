"""Slices: properties by which images and pixels are divided, apart from their class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightseg.metrics.scores import Floats, Integers

_MIDDLE = 2**-0.5
"""Side of the center relative to that of the image; the center has half of the area."""


class Slice(NamedTuple):
    """Division of all pixels, or of all images, by one property.

    Attributes:
        name: Column of the table.
        levels: Phrase for each level in a sentence.
        others: Phrase for the complement of each level.
    """

    name: str
    levels: tuple[str, ...]
    others: tuple[str, ...]


PLACES = (
    Slice("across", ("in the left half", "in the right half"), ("in the right half", "in the left half")),
    Slice("down", ("in the top half", "in the bottom half"), ("in the bottom half", "in the top half")),
    Slice("middle", ("in the centre", "at the border"), ("at the border", "in the centre")),
)
SIZE = Slice(
    "size",
    ("in small objects", "in medium-sized objects", "in large objects"),
    ("in larger objects", "in other objects", "in smaller objects"),
)
LIGHT = (
    Slice(
        "brightness", ("in dark images", "in images of medium brightness", "in bright images"), ("in other images",) * 3
    ),
    Slice(
        "contrast",
        ("in images of low contrast", "in images of medium contrast", "in images of high contrast"),
        ("in other images",) * 3,
    ),
)
SLICES = {"segmentation": (*PLACES, SIZE, *LIGHT), "classification": LIGHT}


def places(rows: npt.NDArray[Any], columns: npt.NDArray[Any], shape: tuple[int, int]) -> dict[str, Integers]:
    """Return the levels of `PLACES` of points.

    Args:
        rows: Row coordinates, `(P,)`; the center of a pixel is half a pixel below its edge.
        columns: Column coordinates, likewise.
        shape: Height and width of the image.
    """
    down, across = rows / shape[0], columns / shape[1]
    outside = np.maximum(np.abs(down - 0.5), np.abs(across - 0.5)) > _MIDDLE / 2
    return {
        "across": (across >= 0.5).astype(np.int64),
        "down": (down >= 0.5).astype(np.int64),
        "middle": outside.astype(np.int64),
    }


def thirds(values: Floats) -> Integers:
    """Return the tercile of each value `(N,)`, 0 to 2; equal values are in the same one."""
    limits = np.quantile(values, [1 / 3, 2 / 3])
    return np.searchsorted(limits, values, side="left").astype(np.int64)
