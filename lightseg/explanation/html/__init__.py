"""Explanation as one HTML file that holds all it shows."""

from lightseg.explanation.html.document import write_page

__all__ = ["write_page"]
