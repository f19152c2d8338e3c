"""Score a trained model on a split or on other data, with more metrics than training reports.

usage: python -m lightseg.evaluate RUN [--split SPLIT] [--data.KEY VALUE]... [--config FILE] [--window N [--overlap X]]
                                       [--tta NAMES] [--calibrate] [--threshold X] [--boundary X]
                                       [--batch_size N] [--devices N] [--precision P] [--name NAME | --out DIR]
                                       [--trust]

  RUN              a run folder, whose best checkpoint is scored, or a checkpoint file; several joined by +, or a
                   pattern of run folders in quotes ('runs/unet/*'), are an ensemble: the mean of their probabilities
  --split SPLIT    test (if left out), val, train, or all: every sample of all splits once
  --data.KEY VALUE changes the run's data: --data.root OTHER scores another folder
  --config FILE    other data: a YAML file with a data: block. Its classes must be those of the checkpoint
  --window N       sliding windows of N pixels instead of whole images; blended where they overlap
  --overlap X      share of a window that the next one sees again (0.25)
  --tta NAMES      test-time augmentation: flip, scale, shift (of a classification), or several (flip,scale)
  --calibrate      first fit a temperature on val; RUN/calibration.json keeps it for whatever gives probabilities
  --threshold X    of classes that may overlap: least probability (calibrated, if the run is) of one that is predicted,
                   or one for each class (0.3,0.5), instead of those of the run; rounded to multiples of 1/1024
  --boundary X     width of the band of boundary IoU as a share of the image's diagonal (0.02)
  --batch_size N   images at once over all devices; if left out, as many on each as in the training
  --devices N      processes (1)
  --precision P    if left out, that of the training; auto takes what is fast on this device
  --name NAME      name of the folder in RUN/evaluations/; it follows from split and protocol if left out
  --out DIR        another folder for the result; needed for an ensemble, which `compare DIR` compares with its members
  --trust          import and run classes that are not of lightseg, such as a net of your own; they are printed

Every valid pixel is counted exactly once. In addition to the scores of the task, there are for segmentation:

  boundary IoU     IoU in a band along the outlines (Cheng et al. 2021)
  recall by size   of connected regions of the truth below 32², below 96² pixels, and larger: the share of their
                   pixels that are right (recall_small), and of regions of which half is right (found_small)
  calibration      ECE over 15 bins (Guo et al. 2017), negative log-likelihood and Brier score; after --calibrate also
                   at the temperature. Also for classification. Of classes that may overlap, ECE of each over 16 bins of
                   its probability, and their mean; these have no other of the additional metrics

DIR has metrics.json (numbers, protocol, data, checkpoint), confusion_SPLIT.csv, per_image_SPLIT.npz, images.csv (a row
for each image) and views.json (data of the additional metrics). An evaluation replaces only one with the same name.
Other data, or another option that can change a score, is part of the name and of metrics.json.

Example:
  python -m lightseg.evaluate runs/roads/20260102T030405-a1b2 --tta flip
  python -m lightseg.evaluate 'runs/roads/*' --out runs/roads-ensemble

The last line printed is `evaluation: DIR`. Exit codes: 0 done, 1 failed in the run, 2 bad input.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightseg.checkpoint.locate import trained_runs
from lightseg.cli.argv import split_options
from lightseg.cli.entry import Arguments, verb
from lightseg.config.compose import chain
from lightseg.errors import ConfigError, require
from lightseg.files.atomic import require_in_place, require_no_broken_link
from lightseg.files.printable import printable

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.evaluation.scoring import Scorer
    from lightseg.evaluation.split_data import SplitData
    from lightseg.evaluation.trained_model import TrainedModel
    from lightseg.tasks import Task


@verb(__doc__)
def main(args: list[str]) -> None:
    """Score a run."""
    options, data_args = _parse(args)
    trained = trained_runs(options.run)
    if options.config:
        # checks the files before the slow imports
        chain(options.config)

    from lightseg.distributed import supervision
    from lightseg.distributed.lightning_compat import silence_lightning
    from lightseg.evaluation.scoring import Scorer
    from lightseg.evaluation.trained_model import TrainedModel
    from lightseg.hardware.precision_names import canonical_precision
    from lightseg.inference.inference_config import InferenceConfig

    silence_lightning()
    supervision.end_with_parent()
    protocol = InferenceConfig.of(options.window, options.overlap, options.tta)
    model = TrainedModel.of_runs(trained, options.trust)
    model.task.protocol = protocol
    data, changed = model.data(options.config, data_args)
    data.batch_size = options.batch_size or model.images_per_pass(data.batch_size) * options.devices
    trainer = model.config["trainer"]
    accelerator = "cpu" if trainer["accelerator"] == "cpu" else "auto"
    precision = options.precision or canonical_precision(trainer["precision"])
    scorer = Scorer(model.task, accelerator, options.devices, precision)
    if scorer.choice.reason and scorer.trainer.is_global_zero:
        print(f"precision: {scorer.choice}", flush=True)
    if scorer.trainer.is_global_zero:
        data.prepare_data()
    if options.calibrate:
        _calibrate(model, data, changed, scorer)
    _score(model, data, changed, scorer, options)


def _parse(args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options of the verb, and the arguments that change the data."""
    arguments, data_args = split_options(args, "--data")
    parser = Arguments("evaluate")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--split", choices=("train", "val", "test", "all"), default="test")
    for name in ("--config", "--precision", "--name", "--threshold"):
        parser.add_argument(name)
    parser.add_argument("--tta", default="")
    for name in ("--window", "--batch_size"):
        parser.add_argument(name, type=int)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--overlap", type=float)
    parser.add_argument("--boundary", type=float, default=0.02)
    for name in ("--calibrate", "--trust"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    require(options.overlap is None or options.window is not None, "--overlap needs --window")
    require(
        0 < options.boundary < 1, f"--boundary {options.boundary}: is no share of the diagonal; give 0.02 or the like"
    )
    require(options.devices >= 1, f"--devices {options.devices}: give 1 or more")
    require(options.batch_size is None or options.batch_size >= 1, f"--batch_size {options.batch_size}: give 1 or more")
    require(options.name is None or options.out is None, "--name, --out: give one of the two")
    is_name = options.name is None or (Path(options.name).name == options.name and options.name not in ("", ".."))
    require(is_name, f"--name {options.name}: is no name of a folder")
    if options.out is not None:
        require_no_broken_link(options.out, "--out")
        # the folder is replaced by renaming, which is impossible for the root of a file system
        is_mount = options.out.resolve().is_mount()
        require(not is_mount, f"--out {options.out}: is the root of a mounted file system; give a folder in it")
    return options, data_args


def _calibrate(model: "TrainedModel", data: "ImageDataModule", changed: dict[str, Any], scorer: "Scorer") -> None:
    from lightseg.evaluation.calibrate import FILE, calibrate, summary
    from lightseg.files.atomic import write_json

    calibration = calibrate(model, data, changed, scorer)
    model.task.temperature = calibration["temperature"]
    if scorer.trainer.is_global_zero and model.run:
        write_json(model.run / FILE, calibration)
        print(printable(summary(calibration, model.run)), flush=True)


def _score(
    model: "TrainedModel",
    data: "ImageDataModule",
    changed: dict[str, Any],
    scorer: "Scorer",
    options: argparse.Namespace,
) -> None:
    from lightseg.evaluation import consistency, extra_metrics, table
    from lightseg.evaluation.record import Record, require_same
    from lightseg.evaluation.split_data import SplitData

    task, split_data = model.task, SplitData(data, options.split)
    model.require_same_colors(split_data.masks)
    model.require_unseen(options.split)
    is_other_data = not model.is_own(split_data.fingerprints)
    if scorer.trainer.is_global_zero and is_other_data and (share := split_data.share):
        print(share, flush=True)
    temperature = task.temperature_under(task.protocol)
    thresholds = None
    if options.threshold is not None:
        thresholds = _set_thresholds(task, options.threshold, temperature)
    settings = {
        "precision": scorer.precision,
        "device": scorer.device,
        "images_per_pass": max(1, data.batch_size // options.devices),
    }
    facts = _facts(model, split_data, options) | {"data_options": changed, "temperature": temperature}
    facts |= {} if thresholds is None else {"thresholds": thresholds}
    facts |= {"boundary": options.boundary, **settings}
    folder = _folder(model, split_data, facts, options)
    require_same(folder, facts)
    scored = scorer.score(split_data, options.split, extra_metrics.make(task, options.boundary, temperature))
    if not scorer.trainer.is_global_zero:
        return
    agrees = None if changed or thresholds else consistency.compare(model, scored, settings)
    numbers = scored.scores | extra_metrics.numbers(scored.extra_results, task.classes)
    record = Record(facts, numbers, scored, split_data.splits, _members(model))
    record.write(folder)
    table.show(record)
    if agrees:
        print(agrees)
    print(printable(f"evaluation: {folder}"), flush=True)


def _set_thresholds(task: "Task", option: str, temperature: float) -> list[float]:
    """Set and return thresholds, of probabilities at a temperature of 1, in multiples by which evaluations count."""
    from lightseg.tasks.multilabel import MultilabelTask, parse_thresholds

    parse_thresholds(task, option, temperature)
    assert isinstance(task, MultilabelTask)
    task.set_thresholds(task.thresholds.tolist(), "--threshold")
    return task.thresholds_at(1)


def _facts(model: "TrainedModel", split_data: "SplitData", options: argparse.Namespace) -> dict[str, Any]:
    return {
        "split": options.split,
        "protocol": str(model.task.protocol),
        "data": split_data.split_fingerprint("test"),
        "samples": len(split_data.dataset("test")),
        "dataset": split_data.label,
        "checkpoint": model.label,
        "sha256": model.sha256,
    }


def _members(model: "TrainedModel") -> list[dict[str, str | None]]:
    """Return run folder, checkpoint and SHA-256 hash of each member of an ensemble."""
    return [
        {"run": str(member.run) if member.run else None, "checkpoint": str(member.file), "sha256": member.sha256}
        for member in model.members
    ]


def _folder(model: "TrainedModel", split_data: "SplitData", facts: dict[str, Any], options: argparse.Namespace) -> Path:
    """Return the folder for the result.

    Raises:
        ConfigError: If the checkpoint is in no run folder, and `--out` is not set.
        UserError: If the path in the run folder is a link.
    """
    from lightseg.evaluation.record import data_hash, folder_name

    if options.out:
        return Path(options.out).resolve()
    if model.members:
        raise ConfigError("an ensemble is in no run folder; say by --out DIR where the result is to go")
    if model.run is None:
        raise ConfigError(f"{model.file}: is in no run folder; say by --out DIR where the result is to go")
    stem = "" if model.is_scored else model.file.stem
    is_run_data = model.is_own(split_data.fingerprints) and not facts["data_options"]
    digest = None if is_run_data else data_hash(facts)
    name = options.name or folder_name(options.split, stem, model.task.protocol, digest, facts.get("thresholds"))
    folder = model.run / "evaluations" / name
    for path in (folder.parent, folder):
        require_in_place(path, "remove it, or give another place by --out DIR")
    return folder


if __name__ == "__main__":
    sys.exit(main())
