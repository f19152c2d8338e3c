"""Jinja environment of the templates, which lie beside the modules of the package."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lightseg.files.printable import printable
from lightseg.visualization.figures import row_shares
from lightseg.visualization.html.images import embed_image, mask_colors


def render(template: str, **values: Any) -> Markup:
    """Render a template: values are escaped, and control characters are spelled out wherever they come from.

    Args:
        template: Path inside the package, such as `comparison/html/ranking.html`.
        **values: Variables of the template.

    Raises:
        jinja2.UndefinedError: If the template uses a variable that is not among the values.
    """
    return Markup(printable(_environment().get_template(template).render(values)).strip())


def read_source(path: str) -> Markup:
    """Return the text of a style sheet or script, not escaped.

    Args:
        path: Path inside the package, such as `comparison/html/comparison.css`.
    """
    environment = _environment()
    loader = environment.loader
    assert isinstance(loader, BaseLoader)
    return Markup(loader.get_source(environment, path)[0])


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lightseg", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pixel"] = "{:.1f}".format
    environment.globals |= {"embed_image": embed_image, "mask_colors": mask_colors, "row_shares": row_shares}
    environment.globals |= {"isnan": math.isnan}
    return environment
