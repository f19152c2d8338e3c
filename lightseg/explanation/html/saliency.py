"""Attribution maps, and the test of their faithfulness."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from lightseg.comparison.text import chance, percent
from lightseg.explanation.deletion import SHARES, faithfulness, is_faithful
from lightseg.explanation.html.figures import figures
from lightseg.explanation.html.tables import NumberTable, Row
from lightseg.explanation.saliency import Saliency
from lightseg.visualization.html import render

_ORDERS = (("what speaks most for the class", "most"), ("at random", "random"), ("what speaks least", "least"))


def saliency_maps(saliency: Saliency | str, longest: int) -> Markup:
    """Render the maps with their test, or the reason why there are none.

    Args:
        saliency: Maps with their test, or the reason as text.
        longest: Pixels of the longer side of a picture.
    """
    if isinstance(saliency, str):
        return render("explanation/html/saliency.html", reason=saliency)
    gain, p = faithfulness(saliency.deletions)
    return render(
        "explanation/html/saliency.html",
        reason="",
        is_faithful=is_faithful(saliency.deletions),
        number=len(saliency.deletions),
        gain=percent(gain, sign=True),
        chance=chance(p),
        method=saliency.method,
        curves=_curves(saliency),
        figures=figures(saliency.exhibits, longest),
    )


def _curves(saliency: Saliency) -> NumberTable:
    rows = []
    for name, order in _ORDERS:
        remaining = np.mean([getattr(deletion, order) for deletion in saliency.deletions], axis=0)
        rows.append(Row(name, [percent(float(share), 0) for share in remaining]))
    return NumberTable(
        "What is left of the probability of the class when a share of the image is blurred",
        ["Blurred first", *[f"{percent(share, 0)} % of the image" for share in SHARES]],
        rows,
    )
