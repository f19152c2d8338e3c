"""Comparison as one HTML file that holds all it shows, so that it can be kept, sent and read without a network."""

from lightseg.comparison.html.document import write_page

__all__ = ["write_page"]
