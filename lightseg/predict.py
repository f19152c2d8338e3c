"""Predict images with a trained model: masks of a segmentation, labels of a classification.

usage: python -m lightseg.predict RUN INPUT... --out DIR [--window N] [--overlap F] [--tta flip,scale]
                                  [--overlays] [--probabilities] [--threshold X] [--multichannel]
                                  [--device NAME] [--batch N] [--trust]

  RUN              a run folder, whose best checkpoint is meant, a checkpoint, an export, or hf://USER/REPO; several
                   joined by +, or a pattern of run folders in quotes ('runs/unet/*'), are an ensemble: the mean of
                   their probabilities
  INPUT            image files, folders with all that is in them, or patterns: 'data/**/*.jpg'
  --out DIR        a new folder; or that of a call that was broken off, which then goes on
  --window N       see images in square windows of N pixels, blended; smaller images are seen whole
  --overlap F      share of a window that the next one sees again (0.25)
  --tta NAMES      average over flip (also mirrored), scale (also at 0.75 and 1.25 of the size), shift (by a pixel; of a
                   classifier), or several (flip,scale)
  --overlays       also DIR/overlays/NAME.jpg: image and classes in one, of 2048 pixels at most
  --probabilities  also DIR/probabilities/NAME.npy, (classes, height, width) float16; of a classification, columns
  --threshold X    of classes that may overlap: least probability (calibrated, if the run is) of one that is predicted,
                   or one for each class (0.3,0.5); if left out, those of the run
  --multichannel   of classes that may overlap: one DIR/NAME.tif with a channel for each, instead of DIR/NAME_CLASS.png
  --device NAME    cpu, cuda, cuda:1, … (cuda if there is one)
  --batch N        windows that go through the net at once (1 on a CPU, else as many as make 2 megapixels)
  --trust          import and run classes that are not of lightseg, such as a net of your own; they are printed

Examples:
  python -m lightseg.predict runs/unet/20260102T030405-a1b2 photo.jpg --out predictions
  python -m lightseg.predict runs/unet/20260102T030405-a1b2 map.tif --out predictions --window 512
  python -m lightseg.predict 'runs/unet/*+runs/fcn/20260102T030405-c3d4' photos/ --out predictions

DIR/NAME.png has the size of its image; its values are class ids, its colours the palette; of a GeoTIFF, DIR/NAME.tif
with its georeference. Of classes that may overlap, DIR/NAME_CLASS.png (or .tif) is 1 where the class is, and 0
elsewhere. Pixels without data (data.nodata of the training) are 255, void. A page of a TIFF is NAME_p0001.png; of an
animated GIF the first frame is used. DIR/classes.json lists class ids, model and settings; DIR/predictions.jsonl the
finished images. A classification writes DIR/labels.csv: file, page, class, probability; of classes that may overlap:
file, page, those that are predicted, and the probability of each.
Images are prepared as in an evaluation. Without --window they are predicted in one piece, except images of more than
4096 × 4096 pixels that the recipe does not resize: they are predicted in windows of 512 pixels, with a message. Large
TIFFs and PNGs are read, and all masks are written, in strips, so that an image of 20,000 × 20,000 pixels needs less
than 2 GB.
Exit codes: 0 done, 1 some images, which are listed, could not be predicted, or the disk is full, 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightseg.checkpoint.locate import model_files
from lightseg.cli.entry import Arguments, verb
from lightseg.errors import RunError, UserError
from lightseg.files.atomic import combined_sha256, nearest_folder
from lightseg.files.printable import printable

if TYPE_CHECKING:
    from lightseg.inference.inference_config import InferenceConfig
    from lightseg.tasks import Task


@verb(__doc__)
def main(args: list[str]) -> None:
    """Predict images."""
    options = _parse(args)
    files, out = model_files(options.run), Path(options.out)
    nearest_folder(out, "--out")
    from lightseg.inference.inputs import find_files, items_of, skipped_files

    # before the imports that take seconds
    images = find_files(options.inputs, out)
    if skipped := skipped_files(options.inputs, out):
        print(printable(f"skipped, as no images: {skipped}"), file=sys.stderr)

    from lightseg.data.io.image_values import image_values
    from lightseg.inference.inference_config import InferenceConfig
    from lightseg.inference.predict_files import OutputOptions, predict_files
    from lightseg.inference.results import Results, open_results
    from lightseg.tasks.multilabel import parse_thresholds

    protocol = InferenceConfig.of(options.window, options.overlap, options.tta)
    task, facts = _load(files, options.device, options.trust)
    if task.kind == "classification" and (options.window or options.overlays):
        raise UserError("--window and --overlays are for segmentation; this model classifies whole images")
    if options.multichannel and not (task.multilabel and task.kind == "segmentation"):
        raise UserError("--multichannel is for masks of classes that may overlap; leave it out")
    if options.threshold is not None:
        parse_thresholds(task, options.threshold, task.temperature_under(protocol))
    items = items_of(images, image_values(task.recipe).stored_channels(task.recipe["in_channels"]), task.kind)
    with open_results(out):
        results = Results(out, {**facts, **_describe(task, protocol)}, task.score_kind)
        results.require_same_files(items)
        outputs = OutputOptions(options.overlays, options.probabilities, options.batch, options.multichannel)
        broken = predict_files(task, items, protocol, results, outputs)
    if broken:
        raise RunError(f"{broken} of {len(items)} images could not be predicted; they are named above")


def _parse(args: list[str]) -> argparse.Namespace:
    parser = Arguments("predict")
    parser.add_argument("run")
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--window", type=int)
    parser.add_argument("--overlap", type=float)
    parser.add_argument("--tta", default="")
    parser.add_argument("--overlays", action="store_true")
    parser.add_argument("--probabilities", action="store_true")
    parser.add_argument("--multichannel", action="store_true")
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--threshold")
    parser.add_argument("--device")
    parser.add_argument("--batch", type=int)
    options = parser.parse_intermixed_args(args)
    if options.batch is not None and options.batch < 1:
        raise UserError(f"--batch {options.batch}: no number of windows; give 1 or more")
    return options


def _load(files: Sequence[Path], device: str | None, trust: bool) -> tuple[Task, dict[str, Any]]:
    """Return the task on its device, and the facts about its files for `classes.json`."""
    import torch

    from lightseg.checkpoint import loading

    if device is not None and device.partition(":")[0] == "meta":
        raise UserError(f"--device {device}: computes nothing; give cpu, cuda or cuda:1")
    task = loading.load(files, trust)
    try:
        task.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: {str(error).splitlines()[0]}") from None
    if task.device.type == "meta":
        raise UserError("--device meta: holds no numbers; give cpu, cuda or cuda:1")
    return task, {"checkpoint": " + ".join(map(str, files)), "sha256": combined_sha256(files)}


def _describe(task: Task, protocol: InferenceConfig) -> dict[str, Any]:
    """Return the inference settings and the legend for `classes.json`."""
    from lightseg.inference.readers import LARGE
    from lightseg.tasks.multilabel import MultilabelTask

    temperature = task.temperature_under(protocol)
    legend = [
        {"id": number, "name": name, "color": list(color)}
        for number, (name, color) in enumerate(zip(task.classes, task.recipe["palette"], strict=True))
    ]
    return {
        "protocol": protocol.view,
        "protocol_large": task.protocol_for((LARGE, 2), protocol).view,
        "temperature": temperature,
        **({"thresholds": task.thresholds_at(temperature)} if isinstance(task, MultilabelTask) else {}),
        "classes": legend,
    }


if __name__ == "__main__":
    sys.exit(main())
