"""Images and color legends of a page, for the macros `figure` and `color_legend`."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from lightseg.labels import IGNORE, VOID

if TYPE_CHECKING:
    from lightseg.labels import Color

LONGEST = 320
"""Pixels of the longer side that an image is shrunk to."""


class EmbeddedImage(NamedTuple):
    """Image as a data URL.

    Attributes:
        source: Data URL.
        width: In pixels.
        height: In pixels.
    """

    source: str
    width: int
    height: int


def embed_image(image: npt.NDArray[np.uint8], is_photo: bool = False, longest: int = LONGEST) -> EmbeddedImage:
    """Encode an image for a page.

    Args:
        image: `(H, W, 3)` uint8.
        is_photo: Whether to save it as JPEG; masks keep their colors, as PNG.
        longest: Pixels of the longer side that it is shrunk to.
    """
    thumbnail, content = Picture.fromarray(image), io.BytesIO()
    thumbnail.thumbnail((longest, longest), Picture.Resampling.BOX if is_photo else Picture.Resampling.NEAREST)
    options: dict[str, Any] = {"format": "JPEG", "quality": 88} if is_photo else {"format": "PNG", "optimize": True}
    thumbnail.save(content, **options)
    source = f"data:image/{options['format'].lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
    return EmbeddedImage(source, *thumbnail.size)


def mask_colors(
    classes: Sequence[str], palette: Sequence[Color], masks: Iterable[npt.NDArray[Any]]
) -> list[tuple[str, Color]]:
    """Return the names and colors of the classes in some masks; void comes last.

    Args:
        classes: Class names.
        palette: One RGB color per class.
        masks: Class ids `(H, W)` or `(N,)`, or 0 and 1 of classes that may overlap, `(C, H, W)`.
    """
    labels = np.unique(np.concatenate([_labels_in(mask) for mask in masks])).tolist()
    colors = [(classes[label], palette[label]) for label in labels if label != IGNORE]
    colors += [("void", VOID)] * (IGNORE in labels)
    return [(name, (int(red), int(green), int(blue))) for name, (red, green, blue) in colors]


def _labels_in(mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the class ids in a mask, and `IGNORE` if it holds void."""
    if mask.ndim < 3:
        return np.unique(mask)
    labels = np.flatnonzero((mask == 1).any((1, 2)))
    # an empty list would be of floats
    return np.append(labels, IGNORE) if (mask == IGNORE).any() else labels
