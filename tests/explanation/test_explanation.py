"""Explanation of a split: all parts of it from one pass."""

import numpy as np

from lightseg.explanation import attribution
from lightseg.explanation.explanation import explain
from lightseg.inference.inference_config import InferenceConfig
from tests.explanation.fabricate import Data, Oracle, discs

CLASSES = ("ground", "disc", "square")


def _forget_discs(truth):
    truth[truth == 1] = 0
    return truth


def test_explain__all_parts_are_of_the_same_split(monkeypatch):
    monkeypatch.setattr(attribution, "is_installed", lambda: False)
    images, masks = discs(8)
    explanation = explain(Oracle("segmentation", CLASSES, _forget_discs), Data(images, masks, CLASSES), "val", 3)
    pixels = np.bincount(np.stack(masks).ravel(), minlength=3)

    assert explanation.observations.confusion.tolist() == [[pixels[0], 0, 0], [pixels[1], 0, 0], [0, 0, pixels[2]]]
    # IoUs of ground, disc and square
    expected = np.mean([pixels[0] / (pixels[0] + pixels[1]), 0, 1])
    assert abs(explanation.score - expected) < 1e-12
    assert (explanation.split, explanation.protocol) == ("val", str(InferenceConfig()))
    ((truth, predicted, count, crops),) = explanation.crops
    assert (truth, predicted, count, len(crops)) == (1, 0, pixels[1], 2)
    assert {each.title.partition(":")[0] for each in explanation.worst} == {"ground", "disc"}
    assert len(explanation.uncertain) == 3
    assert explanation.findings[0].error_slice.label == 1
    assert "captum" in explanation.saliency
