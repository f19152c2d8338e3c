"""Temperature calibration on the validation split, and its effect on the calibration error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lightseg.data import ImageDataModule
from lightseg.errors import ConfigError
from lightseg.evaluation.scoring import Scorer
from lightseg.evaluation.split_data import SplitData
from lightseg.evaluation.temperature import LIMIT, LogitSample, fit_temperature, sampling_stride
from lightseg.evaluation.trained_model import TrainedModel
from lightseg.files.atomic import require_in_place
from lightseg.inference.inference_config import InferenceConfig
from lightseg.metrics.calibration import (
    Reliability,
    calibration_errors,
    make_calibration,
    reliabilities,
    valid_labels,
    valid_pixels,
)
from lightseg.runs.metrics_log import plain_number
from lightseg.tasks import Task

FILE = "calibration.json"


def calibrate(model: TrainedModel, data: ImageDataModule, changes: Mapping[str, Any], scorer: Scorer) -> dict[str, Any]:
    """Return the temperature of a run's checkpoint and its calibration error before and after, for `calibration.json`.

    It is fitted on the logits of an even sample of the valid pixels; the calibration error is measured on all of them.
    The temperature is 1 if the fitted one does not reduce the error. Overlapping classes have one temperature, too, and
    every label of a pixel counts for itself.

    Args:
        model: The run.
        data: The data of the run.
        changes: Options of the data that differ from the run's.
        scorer: The scorer.

    Raises:
        ConfigError: If the checkpoint, the validation split or the protocol is not the run's own.
        UserError: If the file of the result is a link.
    """
    _check(model, data, changes)
    split_data = SplitData(data, "val")
    pixels, classes, multilabel = int(split_data.truth_table("test").sum()), model.task.classes, model.task.multilabel
    logits, target = _sample_logits(model.task, split_data, pixels, scorer)
    temperature = fit_temperature(logits, target)
    metrics = {
        "before": make_calibration(len(classes), multilabel),
        "after": make_calibration(len(classes), multilabel, temperature),
    }
    results = scorer.score(split_data, "val", metrics).extra_results
    if not calibration_errors(*results["after"]).ece < calibration_errors(*results["before"]).ece:
        temperature, results["after"] = 1.0, results["before"]
    before, after = (calibration_errors(*results[name]) for name in ("before", "after"))
    tables = {name: _describe(reliabilities(*sums), classes, multilabel) for name, sums in results.items()}
    return {
        "temperature": temperature,
        "checkpoint": model.file.name,
        "sha256": model.sha256,
        "split": "val",
        "data": split_data.split_fingerprint("test"),
        "protocol": str(model.task.protocol),
        "precision": scorer.precision,
        "pixels": pixels,
        "unit": "labels" if multilabel else "pixels" if model.task.kind == "segmentation" else "images",
        "fitted_on": len(target),
        "ece_before": before.ece,
        "ece_after": after.ece,
        "nll_before": before.nll,
        "nll_after": after.nll,
        "reliability_before": tables["before"],
        "reliability_after": tables["after"],
    }


def _sample_logits(task: Task, split_data: SplitData, pixels: int, scorer: Scorer) -> tuple[Tensor, Tensor]:
    """Return the logits and the truth of an even sample of the valid pixels, or labels; see `LogitSample`."""
    num_choices, select = (2, valid_labels) if task.multilabel else (len(task.classes), valid_pixels)
    sample = LogitSample(sampling_stride(pixels, num_choices), num_choices, select)
    sampled: tuple[Tensor, Tensor] = scorer.score(split_data, "val", {"sample": sample}).extra_results["sample"]
    return sampled


def summary(calibration: dict[str, Any], folder: Path) -> str:
    """Return a summary of a calibration.

    Args:
        calibration: Result of `calibrate`.
        folder: The run folder.
    """
    is_sample = calibration["pixels"] > calibration["fitted_on"]
    sample = f"an even sample of {calibration['fitted_on']:,} of them" if is_sample else "all of them"
    remarks = {1: " (no temperature made the error smaller)", LIMIT: " (the largest; more than the scale is wrong)"}
    remark = remarks.get(calibration["temperature"], "")
    return (
        f"temperature {calibration['temperature']:g}{remark}, fitted on {calibration['split']} "
        f"({calibration['pixels']:,} valid {calibration['unit']}, {sample}): "
        f"ECE {calibration['ece_before']:.4f} -> {calibration['ece_after']:.4f}, "
        f"NLL {calibration['nll_before']:.4f} -> {calibration['nll_after']:.4f}; predicted classes do not change\n"
        f"written: {folder / FILE}"
    )


def _describe(tables: Sequence[Reliability], classes: Sequence[str], multilabel: bool) -> Any:
    """Return the bins of the confidence, or the calibration error and the bins of each overlapping class, by name."""
    if not multilabel:
        return tables[0].table
    return {
        name: {"ece": plain_number(reliability.ece), "bins": reliability.table}
        for name, reliability in zip(classes, tables, strict=True)
    }


def _check(model: TrainedModel, data: ImageDataModule, changes: Mapping[str, Any]) -> None:
    if model.members:
        raise ConfigError("--calibrate: an ensemble averages the probabilities of its members; calibrate each of these")
    if not model.is_scored:
        raise ConfigError(f"--calibrate: {model.file} is not the best checkpoint of a run; give a run folder")
    if model.run:
        require_in_place(model.run / FILE, "remove it")
    if model.task.protocol != InferenceConfig():
        raise ConfigError("--calibrate: a temperature is for whole images; leave out --window and --tta")
    if changes or not model.is_own({"val": data.split_fingerprint("val")}):
        raise ConfigError(
            "--calibrate: this is not the validation split of the run; leave out the options of the data, "
            "or restore the data"
        )
