"""Small parts that pages are made of: text as HTML, boxes that scroll, tables."""

from __future__ import annotations

import html
from collections.abc import Iterable

from lightseg.files.printable import printable


def escape(value: object) -> str:
    """Any text as HTML that shows it, its control characters spelt out."""
    return html.escape(printable(str(value)))


def scroller(what: str, content: str) -> str:
    """Return a box that is scrolled sideways by itself where its content is wider than the screen."""
    return f'<div class="scroller" role="region" tabindex="0" aria-label="{escape(what)}">{content}</div>'


def table(what: str, head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    """Return a table in a box of its own.

    Args:
        what: What it shows, for who does not see it.
        head: Cells of the first row, `<th>…</th>` each.
        rows: Cells of each other row, `<th>…</th>` and `<td>…</td>`.
        kind: CSS class.
    """
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return scroller(
        what,
        f'<table class="{kind}"><caption class="unseen">{escape(what)}</caption>'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{body}</tbody></table>",
    )
