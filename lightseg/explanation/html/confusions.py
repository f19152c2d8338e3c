"""Section on confusions, with examples."""

from __future__ import annotations

from lightseg.comparison.text import percent
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.html.figures import figures
from lightseg.visualization.html.markup import escape, table
from lightseg.visualization.html.matrix import matrix


def confusions(explanation: Explanation, longest: int) -> str:
    """Return the matrix, the largest confusions, and where they are.

    Args:
        explanation: What is explained.
        longest: Pixels of the longer side of a picture.
    """
    stats = explanation.observations
    head = ['<th scope="col">Truth</th>', '<th scope="col">Predicted as</th>']
    titles = (stats.unit.capitalize(), "% of the class", "% of all errors")
    head += [f'<th scope="col" class="number">{title}</th>' for title in titles]
    truth = stats.confusion.sum(1)
    rows = [
        [
            f'<th scope="row">{escape(stats.classes[true])}</th>',
            f"<td>{escape(stats.classes[prediction])}</td>",
            f'<td class="number">{count:,}</td>',
            f'<td class="number">{percent(count / truth[true])}</td>',
            f'<td class="number">{percent(count / stats.wrong)}</td>',
        ]
        for true, prediction, count, _ in explanation.crops
    ]
    hint = (
        f'<p class="hint">Rows are the truth, columns the prediction, in % of the {stats.unit} of the true class.</p>'
    )
    pairs = table("The largest confusions", head, rows) if rows else '<p class="missing">There is none.</p>'
    pictures = figures((each for *_, exhibits in explanation.crops for each in exhibits), longest)
    return f"{hint}{matrix(stats.classes, stats.confusion, explanation.split)}<h3>The largest</h3>{pairs}{pictures}"
