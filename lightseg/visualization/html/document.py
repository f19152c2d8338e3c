"""Page layout: title, summary, links and sections in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from lightseg.visualization.html.templates import read_source, render


class Section(NamedTuple):
    """Section of a page.

    Attributes:
        anchor: Id that links refer to.
        title: Heading, as text.
        content: HTML; a section without content is left out.
    """

    anchor: str
    title: str
    content: Markup


def render_page(title: str, summary: str, sections: Sequence[Section], style: Markup) -> str:
    """Return the HTML of a page that needs no other file.

    Args:
        title: Title, as text.
        summary: Line below the title, as text.
        sections: Sections in order.
        style: CSS added to that of all pages.
    """
    return render(
        "visualization/html/page.html",
        title=title,
        summary=summary,
        sections=[section for section in sections if section.content],
        style=read_source("visualization/html/page.css") + style,
        script=read_source("visualization/html/page.js"),
    )
