"""Scores of classes that may overlap, each at its threshold."""

from __future__ import annotations

import math

import numpy as np
from markupsafe import Markup

from lightseg.explanation.collect import Observations
from lightseg.explanation.html.tables import NumberTable, Row
from lightseg.metrics.formatting import percent
from lightseg.metrics.label_histogram import average_precision, roc_auc
from lightseg.metrics.scores import confusion_to_counts, dice, iou, precision, recall
from lightseg.visualization.html import render


def scores(observations: Observations) -> Markup:
    """Render the scores of each class, which may overlap others, and its calibration error."""
    labels, classes = observations.labels, len(observations.classes)
    assert labels is not None, "the classes may overlap"
    counts = confusion_to_counts(observations.confusion)[:, :classes]
    columns = {
        "Threshold": np.array(labels.thresholds),
        "IoU": iou(counts),
        "F1": dice(counts),
        "Precision": precision(counts),
        "Recall": recall(counts),
        "Average precision": average_precision(labels.histogram),
        "Area under ROC": roc_auc(labels.histogram),
        "ECE": np.array([reliability.ece for reliability in observations.reliability]),
    }
    rows = [
        Row(name, [_cell(values[label]) for values in columns.values()])
        for label, name in enumerate(observations.classes)
    ]
    table = NumberTable("Scores of each class, in %", ["Class", *columns], rows)
    return render("explanation/html/scores.html", table=table)


def _cell(value: float) -> str:
    return "–" if math.isnan(value) else percent(value)
