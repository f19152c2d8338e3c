"""Check a data set before training, and list each mistake with its fix.

usage: python -m lightseg.doctor RECIPE [OVERLAY]... [--estimate] [--out DIR] [--json FILE] [--key value]...

  RECIPE           a recipe, or a block with data alone, such as configs/data/camvid.yaml; `--config FILE` says the same
  --estimate       also build the recipe's net and train a few real steps: how much time and memory a training takes
  --out DIR        where samples.png goes, training samples as training will see them (runs/doctor/RECIPE)
  --json FILE      all findings, with all file names
  --data.root DIR  where the data is; every option of `fit` is one here, such as --data.batch_size

Errors stop a training or corrupt what it learns: broken files, files without counterpart or of different size, JPEG
masks, masks with undeclared values. Warnings bias its score: shifted, resized or empty masks, images or sequences in
two splits, absent or tiny classes. Notes are remarks. If the recipe has a net, it is built and sees one training
sample, as at the start of a training.

Example:
  python -m lightseg.doctor configs/data/mask_folder.yaml --data.root my_data --data.classes "[background, road]"

Exit codes: 0 clean (notes are), 1 errors or warnings, 2 bad input, such as a recipe or data that is not there.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lightseg.cli.argv import option_values, require_known_options, split_options
from lightseg.cli.entry import Arguments, verb
from lightseg.config.compose import chain, read
from lightseg.errors import ConfigError, RunError, UserError
from lightseg.files.atomic import nearest_folder, require_writable
from lightseg.files.printable import printable

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.diagnosis.diagnosis import Diagnosis
    from lightseg.diagnosis.findings import Finding
    from lightseg.diagnosis.recipe import RecipeCLI
    from lightseg.nets.base import Normalization

_NET = "configs/net/unet.yaml"
"""Net that completes a recipe with data alone, for the parser."""

_NO_NET = "net: none in the recipe, so that only the data was checked"


@verb(__doc__, imports_user_code=True)
def main(args: list[str]) -> None:
    """Check the data of a recipe."""
    parser = Arguments("doctor")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--estimate", action="store_true")
    options, words = parser.parse_known_args(args)
    words = _as_config(words)
    require_known_options(words)
    if options.json:
        require_writable(options.json, "--json")
    files = [file for name in option_values(words, "-c", "--config") for file in chain(name)]
    # classes in a file beside the recipe can be imported
    sys.path += [str(file.parent) for file in files]
    folder = options.out or Path("runs/doctor") / files[-1].stem
    nearest_folder(folder, "--out")
    has_net = any("model" in read(file) for file in files) or any(arg.startswith("--model") for arg in words)
    if options.estimate and not has_net:
        raise UserError("--estimate: the recipe has no net to train; give one, such as --config configs/net/unet.yaml")

    from lightseg.diagnosis import text
    from lightseg.diagnosis.diagnosis import diagnose
    from lightseg.diagnosis.recipe import RecipeCLI
    from lightseg.distributed.lightning_compat import silence_lightning

    silence_lightning()
    recipe = RecipeCLI(words if has_net else ["--config", _NET, *words])
    data = recipe.data()
    print(printable(f"{type(data).__name__} of {files[-1].name}"), flush=True)
    diagnosis = diagnose(data, _normalization(recipe) if has_net else None)
    diagnosis.add(_machine_findings(recipe))
    describe_net = _estimated if options.estimate else _try_net
    lines = [*(describe_net(recipe, data, diagnosis) if has_net else [_NO_NET]), _sheet(diagnosis, data, folder)]
    text.show(diagnosis, lines)
    if options.json:
        text.write_json(diagnosis, options.json)
        print(printable(f"written: {options.json}"))
    if not diagnosis.clean:
        raise RunError(f"recipe and data are {text.verdict(diagnosis)}")


def _as_config(args: list[str]) -> list[str]:
    """Return the command line with the recipe and its overlays as `--config` options in front.

    Raises:
        UserError: If there is no recipe, or a folder in its place.
    """
    recipes, options = split_options(args, "-")
    for name in recipes:
        if Path(name).is_dir():
            recipe = shlex.quote(f"{Path(name).resolve().name or 'recipe'}.yaml")
            raise UserError(
                f"{name}: is a folder, and the doctor checks a recipe; write one first: "
                f"python -m lightseg.init {shlex.quote(name)}, then: python -m lightseg.doctor {recipe}"
            )
    configs = [word for name in recipes for word in ("--config", name)]
    if not configs and not option_values(args, "-c", "--config"):
        raise UserError(
            "no recipe; give one, such as configs/data/camvid.yaml; `python -m lightseg.doctor --help` tells more"
        )
    return [*configs, *options]


def _normalization(recipe: "RecipeCLI") -> "Normalization | None":
    """Return the mean and deviation that images are normalized by; None if they are those of the data."""
    options = recipe.config.model.init_args
    if options.get("mean") and options.get("std"):
        return options.mean, options.std
    net = options.net.get("init_args") or {}
    if not net.get("encoder_weights"):
        return None
    try:
        return getattr(recipe.task().net, "normalization", None)
    except UserError:
        # weights that cannot be downloaded are reported by a training
        return None


def _machine_findings(recipe: "RecipeCLI") -> "list[Finding]":
    """Return what this machine lacks for a training of the recipe; its data can be checked without that."""
    from lightseg.diagnosis.findings import from_message

    try:
        recipe.require_machine()
    except ConfigError as error:
        return [from_message("machine", "error", str(error))]
    return []


def _estimated(recipe: "RecipeCLI", data: "ImageDataModule", diagnosis: "Diagnosis") -> list[str]:
    """Return lines about time and memory of the training; an error that prevents it becomes a finding."""
    from lightseg.diagnosis.estimate import estimate, in_words
    from lightseg.diagnosis.findings import from_message

    if not diagnosis.trains:
        return ["no estimate of time and memory: a training would stop at the errors"]
    try:
        return in_words(estimate(recipe.task(), data, recipe.config.trainer))
    except UserError as error:
        diagnosis.add([from_message("training", "error", str(error))])
        return ["no estimate of time and memory: a training would stop at the error below"]


def _try_net(recipe: "RecipeCLI", data: "ImageDataModule", diagnosis: "Diagnosis") -> list[str]:
    """Return a line about the net on a training sample; an error that prevents a training becomes a finding."""
    from lightseg.diagnosis.findings import from_message
    from lightseg.tasks.preflight import fits
    from lightseg.training.flops import measure_cost

    if not diagnosis.trains:
        return ["net: not tried, since a training would stop at the errors"]
    try:
        task, sample = recipe.task(), data.train_sample()
        task.configure_from_data(data)
        with fits(task, sample):
            cost = measure_cost(task, sample)
    except UserError as error:
        diagnosis.add([from_message("net", "error", str(error))])
        return ["net: a training would stop at it, as said below"]
    size = "×".join(map(str, cost["input"]))
    return [f"net: {type(task.net).__name__}, {cost['parameters'] / 1e6:.2f} M parameters, takes a sample of {size}"]


def _sheet(diagnosis: "Diagnosis", data: "ImageDataModule", folder: Path) -> str:
    from lightseg.diagnosis.contact_sheet import write_sheet

    if not diagnosis.augmented:
        return "no pictures of training samples: a training would stop at the errors"
    path = folder / "samples.png"
    write_sheet(diagnosis.augmented, data, path)
    return f"training samples as training sees them: {path}"


if __name__ == "__main__":
    sys.exit(main())
