"""Exhibits of a page; the macro `exhibits` draws them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from lightseg.explanation.gallery import Exhibit
from lightseg.visualization.html import render
from lightseg.visualization.html.images import embed_image


def figures(exhibits: Iterable[Exhibit], longest: int) -> Markup:
    """Render exhibits side by side, those of a single picture as tiles; empty without any.

    Args:
        exhibits: Exhibits in order.
        longest: Pixels of the longer side of a picture.
    """
    return render("explanation/html/figures.html", exhibits=[_figure(exhibit, longest) for exhibit in exhibits])


def _figure(exhibit: Exhibit, longest: int) -> dict[str, Any]:
    pictures = [
        (embed_image(picture.pixels, f"{picture.caption}: {exhibit.title}", picture.photo, longest), picture.caption)
        for picture in exhibit.pictures
    ]
    return {"title": exhibit.title, "remark": exhibit.remark, "pictures": pictures}
