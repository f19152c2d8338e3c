"""Confusion matrix, and the largest confusions with examples."""

from __future__ import annotations

from markupsafe import Markup

from lightseg.comparison.text import percent
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.html.figures import figures
from lightseg.visualization.html import render
from lightseg.visualization.html.matrix import Matrix


def confusions(explanation: Explanation, longest: int) -> Markup:
    """Render the matrix, the largest confusions, and their places in images.

    Args:
        explanation: Explanation of a run.
        longest: Pixels of the longer side of a picture.
    """
    observations = explanation.seen
    class_counts = observations.confusion.sum(1)
    return render(
        "explanation/html/confusions.html",
        unit=observations.unit,
        matrix=Matrix.from_counts(observations.classes, observations.confusion, explanation.split),
        confusions=[
            {
                "truth": observations.classes[truth],
                "prediction": observations.classes[prediction],
                "count": f"{count:,}",
                "share_of_class": percent(count / class_counts[truth]),
                "share_of_errors": percent(count / observations.wrong),
            }
            for truth, prediction, count, _ in explanation.crops
        ],
        figures=figures((exhibit for *_, exhibits in explanation.crops for exhibit in exhibits), longest),
    )
