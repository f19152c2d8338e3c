"""Section on confusions, with examples."""

from __future__ import annotations

from lightseg.comparison.text import percent
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.html.figures import figures
from lightseg.visualization.html.markup import escape, table
from lightseg.visualization.html.matrix import matrix


def confusions(found: Explanation, longest: int) -> str:
    """Return the matrix, the largest confusions, and where they are.

    Args:
        found: What is explained.
        longest: Pixels of the longer side of a picture.
    """
    seen = found.observations
    head = ['<th scope="col">Truth</th>', '<th scope="col">Predicted as</th>']
    titles = (seen.unit.capitalize(), "% of the class", "% of all errors")
    head += [f'<th scope="col" class="number">{title}</th>' for title in titles]
    truth = seen.confusion.sum(1)
    rows = [
        [
            f'<th scope="row">{escape(seen.classes[true])}</th>',
            f"<td>{escape(seen.classes[said])}</td>",
            f'<td class="number">{count:,}</td>',
            f'<td class="number">{percent(count / truth[true])}</td>',
            f'<td class="number">{percent(count / seen.wrong)}</td>',
        ]
        for true, said, count, _ in found.crops
    ]
    hint = f'<p class="hint">Rows are the truth, columns the prediction, in % of the {seen.unit} of the true class.</p>'
    pairs = table("The largest confusions", head, rows) if rows else '<p class="missing">There is none.</p>'
    shown = figures((each for *_, exhibits in found.crops for each in exhibits), longest)
    return f"{hint}{matrix(seen.classes, seen.confusion, found.split)}<h3>The largest</h3>{pairs}{shown}"
