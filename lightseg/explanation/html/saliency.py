"""Section on saliency: the pixels that the net depends on, and whether the maps are faithful."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightseg.comparison.text import chance, percent
from lightseg.explanation.deletion import SHARES, Deletion, faithfulness, is_faithful
from lightseg.explanation.html.figures import figures
from lightseg.explanation.saliency import Saliency
from lightseg.visualization.html.markup import escape, table


def looks(probes: Saliency | str, longest: int) -> str:
    """Return the maps with their test; or why there are none.

    Args:
        probes: What was asked.
        longest: Pixels of the longer side of a picture.
    """
    if isinstance(probes, str):
        return f'<p class="missing">{escape(probes)}</p>'
    return f"{_verdict(probes)}{_curves(probes.deletions)}{figures(probes.exhibits, longest)}"


def _verdict(probes: Saliency) -> str:
    gain, p = faithfulness(probes.deletions)
    number = len(probes.deletions)
    images = f"{number} image{'s' * (number != 1)}"
    verdict, what = "The maps are not shown to be faithful", "is not shown to take the class away sooner than by chance"
    if is_faithful(probes.deletions):
        verdict, what = "The maps are faithful", "takes the class away sooner than by chance"
    return (
        f"<p>{verdict}: over {images}, blurring what they point at {what} "
        f'(area between the curves {percent(gain, sign=True)} points, {chance(p)}).</p><p class="hint">'
        f"{escape(probes.method)}; the brighter, the more a place speaks for the class, in the mean over all that is "
        "predicted as it. Below: what is left of its probability, in %, when more and more of the image is blurred.</p>"
    )


def _curves(deletions: Sequence[Deletion]) -> str:
    head = ['<th scope="col">Blurred first</th>']
    head += [f'<th scope="col" class="number">{percent(share, 0)} % of the image</th>' for share in SHARES]
    rows = []
    for name, order in (
        ("what speaks most for the class", "most"),
        ("at random", "random"),
        ("what speaks least", "least"),
    ):
        remaining = np.mean([getattr(each, order) for each in deletions], axis=0)
        cells = [f'<td class="number">{percent(float(value), 0)}</td>' for value in remaining]
        rows.append([f'<th scope="row">{name}</th>', *cells])
    return table(
        "What is left of the probability of the class when a share of the image is blurred", head, rows, "sums"
    )
