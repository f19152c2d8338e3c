"""Self-contained HTML pages: Jinja templates and the macros that they share."""

from lightseg.visualization.html.document import Section, render_page
from lightseg.visualization.html.templates import read_source, render

__all__ = ["Section", "read_source", "render", "render_page"]
