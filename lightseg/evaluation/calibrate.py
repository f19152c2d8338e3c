"""Fit a temperature on the validation split, and see what it does to all of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightseg.data import ImageDataModule
from lightseg.errors import ConfigError
from lightseg.evaluation.scoring import Scorer
from lightseg.evaluation.split_data import SplitData
from lightseg.evaluation.temperature import LogitSample, fit_temperature, sampling
from lightseg.evaluation.trained_model import TrainedModel
from lightseg.files.atomic import require_in_place
from lightseg.inference.inference_config import InferenceConfig
from lightseg.metrics.calibration import Calibration, Reliability

FILE = "calibration.json"


def calibrate(
    subject: TrainedModel, data: ImageDataModule, changed: Mapping[str, Any], scorer: Scorer
) -> dict[str, Any]:
    """Return the temperature of a run's checkpoint, with the calibration before and after, as in `calibration.json`.

    It is fitted on the logits of an even sample of the valid pixels; the calibration error is measured on all of them.
    Where it would not become smaller, the temperature stays 1.

    Args:
        subject: The run.
        data: Its data.
        changed: Options of the data that are not the run's.
        scorer: What scores.

    Raises:
        ConfigError: If it is not the run's own checkpoint, validation split and protocol.
        UserError: If the place of the result is a link.
    """
    _check(subject, data, changed)
    part = SplitData(data, "val")
    pixels, classes = int(part.class_table("test").sum()), len(subject.task.classes)
    every = sampling(pixels, classes)
    sample = scorer.score(part, "val", {"sample": LogitSample(every, classes)})
    logits, target = sample.views["sample"]
    temperature = fit_temperature(logits, target)
    both = {"before": Calibration(), "after": Calibration(temperature)}
    views = scorer.score(part, "val", both).views
    before, after = Reliability.of(*views["before"]), Reliability.of(*views["after"])
    if not after.ece < before.ece:
        temperature, after = 1.0, before
    return {
        "temperature": temperature,
        "checkpoint": subject.file.name,
        "sha256": subject.sha256,
        "split": "val",
        "data": part.split_fingerprint("test"),
        "protocol": str(subject.task.protocol),
        "precision": scorer.precision,
        "pixels": pixels,
        "fitted_on": len(target),
        "ece_before": before.ece,
        "ece_after": after.ece,
        "nll_before": before.nll,
        "nll_after": after.nll,
        "reliability_before": before.table,
        "reliability_after": after.table,
    }


def summary(fit: dict[str, Any], folder: Path) -> str:
    """Return what `calibrate` has found, for a reader.

    Args:
        fit: What it returned.
        folder: The run folder.
    """
    thinned = fit["pixels"] > fit["fitted_on"]
    sample = f"an even sample of {fit['fitted_on']:,} of them" if thinned else "all of them"
    note = " (no temperature made the error smaller)" if fit["temperature"] == 1 else ""
    return (
        f"temperature {fit['temperature']:g}{note}, fitted on {fit['split']} ({fit['pixels']:,} valid pixels or "
        f"samples, {sample}): ECE {fit['ece_before']:.4f} -> {fit['ece_after']:.4f}, "
        f"NLL {fit['nll_before']:.4f} -> {fit['nll_after']:.4f}; predictions stay as they are\n"
        f"written: {folder / FILE}"
    )


def _check(subject: TrainedModel, data: ImageDataModule, changed: Mapping[str, Any]) -> None:
    if not subject.is_scored:
        raise ConfigError(f"--calibrate: {subject.file} is not the best one of a run; give a run folder")
    if subject.run:
        require_in_place(subject.run / FILE, "remove it")
    if subject.task.protocol != InferenceConfig():
        raise ConfigError("--calibrate: a temperature is for whole images; leave out --window and --tta")
    if changed or not subject.is_own({"val": data.split_fingerprint("val")}):
        raise ConfigError(
            "--calibrate: this is not the validation split of the run; leave out the options of the data, "
            "or bring the data back"
        )
