"""Whole page from its sections: one HTML file that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import NamedTuple

from lightseg.visualization.html.markup import escape


class Section(NamedTuple):
    """Part of a page: the name that links find it by, its title, and its HTML; without any it is left out."""

    anchor: str
    title: str
    content: str


def render(title: str, summary: str, sections: Sequence[Section], style: str = "") -> str:
    """Return the HTML of a page.

    Args:
        title: Its title, as text.
        summary: A line below it, as text.
        sections: What it shows, in order.
        style: CSS beside that of all pages.
    """
    parts = [section for section in sections if section.content]
    return Template(resource(__package__, "page.html")).substitute(
        title=escape(title),
        summary=escape(summary),
        style=resource(__package__, "page.css") + style,
        script=resource(__package__, "page.js"),
        links="".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in parts),
        sections="".join(
            f'<section id="{anchor}" aria-labelledby="{anchor}-title">'
            f'<h2 id="{anchor}-title">{title}</h2>{content}</section>'
            for anchor, title, content in parts
        ),
    )


def resource(package: str, name: str) -> str:
    """Return the text of a file that lies beside the modules of a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
