"""Exhibits as figures of a page."""

from __future__ import annotations

from collections.abc import Iterable

from lightseg.explanation.gallery import Exhibit
from lightseg.visualization.html.images import picture
from lightseg.visualization.html.markup import escape


def figures(exhibits: Iterable[Exhibit], longest: int) -> str:
    """Exhibits side by side; those of one picture as tiles.

    Args:
        exhibits: What is shown.
        longest: Pixels of the longer side of a picture.
    """
    exhibits_list = list(exhibits)
    kind = "tiles" if all(len(each.pictures) == 1 for each in exhibits_list) else "examples"
    return (
        f'<div class="{kind}">{"".join(_figure(each, longest) for each in exhibits_list)}</div>'
        if exhibits_list
        else ""
    )


def _figure(exhibit: Exhibit, longest: int) -> str:
    title = escape(exhibit.title)
    parts = [
        picture(each.pixels, escape(each.caption), f"{escape(each.caption)}: {title}", each.photo, longest)
        for each in exhibit.pictures
    ]
    remark = f" <span>{escape(exhibit.remark)}</span>" if exhibit.remark else ""
    return (
        f'<figure class="example"><figcaption><h3>{title}</h3>{remark}</figcaption>'
        f'<div class="pictures of{len(parts)}">{"".join(parts)}</div></figure>'
    )
