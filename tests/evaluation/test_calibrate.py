"""Summary of a calibration, and what cannot be calibrated."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightseg.data import Shapes
from lightseg.errors import ConfigError, UserError
from lightseg.evaluation.calibrate import calibrate, summary
from lightseg.evaluation.temperature import LIMIT
from lightseg.inference.inference_config import InferenceConfig

RESULT = {
    "temperature": 1.5,
    "split": "val",
    "pixels": 5000,
    "unit": "pixels",
    "fitted_on": 1000,
    "ece_before": 0.25,
    "ece_after": 0.125,
    "nll_before": 0.5,
    "nll_after": 0.4375,
}


def test_summary__sample_and_effect():
    assert summary(RESULT, Path("run")) == (
        "temperature 1.5, fitted on val (5,000 valid pixels, an even sample of 1,000 of them): "
        "ECE 0.2500 -> 0.1250, NLL 0.5000 -> 0.4375; predicted classes do not change\nwritten: run/calibration.json"
    )


def test_summary__of_all_pixels_without_an_effect():
    text = summary({**RESULT, "temperature": 1.0, "fitted_on": 5000}, Path("run"))
    assert "temperature 1 (no temperature made the error smaller), fitted on val" in text
    assert "(5,000 valid pixels, all of them)" in text
    largest = summary({**RESULT, "temperature": LIMIT}, Path("run"))
    assert largest.startswith("temperature 100 (the largest; more than the scale is wrong), fitted on val")


@dataclass
class Model:
    """Trained model of a run folder."""

    run: Path
    is_scored: bool = True
    has_data: bool = True
    file: Path = Path("best.ckpt")
    members: tuple = ()
    task: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(multilabel=False, protocol=InferenceConfig()))

    def is_own(self, fingerprints):
        return self.has_data and list(fingerprints) == ["val"]


@pytest.mark.parametrize(
    ("facts", "changes", "message"),
    [
        ({"is_scored": False}, {}, "^--calibrate: best.ckpt is not the best checkpoint of a run; give a run folder$"),
        ({"has_data": False}, {}, "^--calibrate: this is not the validation split of the run"),
        ({}, {"data.image_size": 64}, "^--calibrate: this is not the validation split of the run"),
        (
            {"task": SimpleNamespace(multilabel=False, protocol=InferenceConfig(window=32))},
            {},
            "^--calibrate: a temperature is for whole images; leave out --window and --tta$",
        ),
    ],
)
def test_calibrate__is_for_the_run_itself(tmp_path, facts, changes, message):
    with pytest.raises(ConfigError, match=message):
        calibrate(Model(tmp_path, **facts), Shapes(image_size=32, train_size=1, val_size=1), changes, None)


def test_calibrate__does_not_write_through_a_link(tmp_path):
    (tmp_path / "calibration.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"calibration\.json"):
        calibrate(Model(tmp_path), Shapes(image_size=32, train_size=1, val_size=1), {}, None)
