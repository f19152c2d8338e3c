"""Scores of overlapping classes on the page."""

import re

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from lightseg.explanation.collect import collect
from lightseg.explanation.html.scores import scores
from tests.explanation.fabricate import LabelData, label_image, label_task


def test_scores__those_of_scikit_learn_at_the_thresholds():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (60, 2))
    truth[:, 1] = 0
    # the larger the value, the more probable; 12 values are far apart in the bins of probability
    values = np.clip(80 + 60 * truth + 10 * rng.integers(-6, 6, (60, 2)), 0, 255)
    images = [label_image(np.ones(2), (2, 2), high=value[:, None, None]) for value in values]
    task = label_task("classification", ("<b>cat", "dog"), 4.0, thresholds=[0.25, 0.5])
    observations = collect(task, LabelData(images, list(truth.astype(np.uint8)), task.classes), "test")
    html = str(scores(observations))
    rows = [re.findall(r">([^<>]+)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)]

    probabilities = 1 / (1 + np.exp(-4 * (2 * values / 255 - 1)))
    cat, predicted = truth[:, 0], probabilities[:, 0] >= 0.25
    measures = [measure(cat, predicted) for measure in (jaccard_score, f1_score, precision_score, recall_score)]
    measures += [measure(cat, probabilities[:, 0]) for measure in (average_precision_score, roc_auc_score)]
    assert rows[0][0] == "Class"
    assert rows[1][:8] == ["&lt;b&gt;cat", "25.0", *[f"{100 * value:.1f}" for value in measures]]
    # a class that is nowhere has no recall, and no ranks
    assert rows[2][:2] == ["dog", "50.0"]
    assert [rows[2][column] for column in (5, 6, 7)] == ["–"] * 3
    assert rows[2][8] == f"{100 * observations.reliability[1].ece:.1f}"
