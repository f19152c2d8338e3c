"""Shell of pages that hold all they show, so that they can be kept, sent and read without a network."""

from lightseg.visualization.html.document import Section, render

__all__ = ["Section", "render"]
