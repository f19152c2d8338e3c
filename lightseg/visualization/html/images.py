"""Images inside a page, and what the colours of masks mean."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from lightseg.labels import IGNORE, VOID
from lightseg.visualization.html.markup import escape

if TYPE_CHECKING:
    from lightseg.visualization.examples import Color

LONGEST = 320
"""Pixels of the longer side that a picture is shrunk to."""


def picture(image: npt.NDArray[np.uint8], caption: str, words: str, photo: bool = False, longest: int = LONGEST) -> str:
    """Return a figure that holds its image.

    Args:
        image: `(H, W, 3)` uint8.
        caption: What is written below it, as HTML.
        words: What it shows, for who does not see it, as HTML.
        photo: Whether it is a photograph, which is saved as JPEG; what is drawn keeps its colours, as PNG.
        longest: Pixels of the longer side that it is shrunk to.
    """
    shrunk, content = Picture.fromarray(image), io.BytesIO()
    shrunk.thumbnail((longest, longest), Picture.Resampling.BOX if photo else Picture.Resampling.NEAREST)
    options: dict[str, Any] = {"format": "JPEG", "quality": 88} if photo else {"format": "PNG", "optimize": True}
    shrunk.save(content, **options)
    source = f"data:image/{options['format'].lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
    width, height = shrunk.size
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{words}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def colors(classes: Sequence[str], palette: Sequence[Color], masks: Iterable[npt.NDArray[Any]]) -> str:
    """Return the classes that are in some masks, with their colours."""
    labels_present = np.unique(np.concatenate([np.unique(mask) for mask in masks]))
    entries = [(classes[label], palette[label]) for label in labels_present if label != IGNORE]
    entries += [("void", VOID)] * bool((labels_present == IGNORE).any())
    items = "".join(
        f'<li><span class="color" style="background:rgb{tuple(map(int, color))}"></span>{escape(label)}</li>'
        for label, color in entries
    )
    return f'<ul class="colors" aria-label="Colours of the classes">{items}</ul>'
