"""HTML page of an explanation, self-contained in one file."""

from lightseg.explanation.html.document import write_page

__all__ = ["write_page"]
