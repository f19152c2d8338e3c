"""HTML page of a comparison, self-contained in one file."""

from lightseg.comparison.html.document import write_page

__all__ = ["write_page"]
