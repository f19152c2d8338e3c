"""Look at a data set before anything is trained on it, and list all that is wrong with what mends it.

usage: python -m lightseg.doctor RECIPE [OVERLAY]... [--estimate] [--out DIR] [--json FILE] [--key value]...

  RECIPE           a recipe, or a block with data alone, such as configs/data/camvid.yaml; `--config FILE` says the same
  --estimate       also build the recipe's net and train a few real steps: how much time and memory a training takes
  --out DIR        where samples.png goes, training samples as training will see them (runs/doctor/RECIPE)
  --json FILE      everything that was found, with all file names
  --data.root DIR  where the data is; every option of `fit` is one here, such as --data.batch_size

An error would stop a training, or teach it rubbish: files that are broken, without counterpart or of different size,
masks that are JPEG or hold values that nobody declared. A warning makes its score worth less: masks that are shifted,
resized or empty, images or sequences in two splits, classes that do not occur or are specks. A note is a remark.
Without --estimate no net is built, but for one whose pretrained weights say how images are normalised.

Example:
  python -m lightseg.doctor configs/data/mask_folder.yaml --data.root my_data --data.classes "[background, road]"

Exit codes: 0 clean (notes are), 1 errors or warnings, 2 bad input, such as a recipe or data that is not there.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lightseg.cli.argv import positionals, require_known_options, values
from lightseg.cli.entry import Arguments, verb
from lightseg.config.compose import chain, read
from lightseg.errors import RunError, UserError
from lightseg.files.atomic import nearest_folder, require_writable

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.diagnosis.diagnosis import Diagnosis
    from lightseg.diagnosis.recipe import Recipe
    from lightseg.nets.base import Normalization

_NET = "configs/net/unet.yaml"
"""What completes a recipe that has data alone, for the parser."""


@verb(__doc__, own_code=True)
def main(args: list[str]) -> None:
    """Look at the data of a recipe."""
    parser = Arguments("doctor")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--estimate", action="store_true")
    asked, rest = parser.parse_known_args(args)
    rest = _as_config(rest)
    require_known_options(rest)
    if asked.json:
        require_writable(asked.json, "--json")
    files = [file for name in values(rest, "-c", "--config") for file in chain(name)]
    # a class in a file beside the recipe is found
    sys.path += [str(file.parent) for file in files]
    folder = asked.out or Path("runs/doctor") / files[-1].stem
    nearest_folder(folder, "--out")
    has_net = any("model" in read(file) for file in files) or any(arg.startswith("--model") for arg in rest)
    if asked.estimate and not has_net:
        raise UserError("--estimate: the recipe has no net to train; give one, such as --config configs/net/unet.yaml")

    from lightseg.diagnosis import text
    from lightseg.diagnosis.diagnosis import diagnose
    from lightseg.diagnosis.recipe import Recipe
    from lightseg.tasks.lightning_compat import silence_lightning

    silence_lightning()
    recipe = Recipe(rest if has_net else ["--config", _NET, *rest])
    data = recipe.data()
    print(f"{type(data).__name__} of {files[-1].name}", flush=True)
    diagnosis = diagnose(data, _normalization(recipe) if has_net else None)
    lines = [*(_estimated(recipe, data, diagnosis) if asked.estimate else []), _sheet(diagnosis, data, folder)]
    text.show(diagnosis, lines)
    if asked.json:
        text.write_json(diagnosis, asked.json)
        print(f"written: {asked.json}")
    if not diagnosis.clean:
        raise RunError(f"the data is {text.verdict(diagnosis)}")


def _as_config(args: list[str]) -> list[str]:
    """The command line with the recipe, and overlays, as `--config` in front of all else.

    Raises:
        UserError: If there is none.
    """
    recipes, options = positionals(args)
    named = [word for name in recipes for word in ("--config", name)]
    if not named and not values(args, "-c", "--config"):
        raise UserError(
            "no recipe; give one, such as configs/data/camvid.yaml; `python -m lightseg.doctor --help` tells more"
        )
    return [*named, *options]


def _normalization(recipe: "Recipe") -> "Normalization | None":
    """Mean and deviation that the recipe's net will be given images by; None if they are the data's own."""
    options = recipe.config.model.init_args
    if options.get("mean") and options.get("std"):
        return options.mean, options.std
    net = options.net.get("init_args") or {}
    if not net.get("encoder_weights"):
        return None
    try:
        return getattr(recipe.task().net, "normalization", None)
    except UserError:
        # the weights are not at hand; a training would say so
        return None


def _estimated(recipe: "Recipe", data: "ImageDataModule", diagnosis: "Diagnosis") -> list[str]:
    """Lines about the time and memory of the training; what keeps it from starting is a finding."""
    from lightseg.diagnosis.estimate import estimate, in_words
    from lightseg.diagnosis.findings import from_message

    if not diagnosis.trains:
        return ["no estimate of time and memory: a training would stop at the errors"]
    try:
        return in_words(estimate(recipe.task(), data, recipe.config.trainer))
    except UserError as error:
        diagnosis.add([from_message("training", "error", str(error))])
        return ["no estimate of time and memory: a training would stop at the error below"]


def _sheet(diagnosis: "Diagnosis", data: "ImageDataModule", folder: Path) -> str:
    from lightseg.diagnosis.contact_sheet import write_sheet

    if not diagnosis.augmented:
        return "no pictures of training samples: a training would stop at the errors"
    path = folder / "samples.png"
    write_sheet(diagnosis.augmented, data, path)
    return f"training samples as training sees them: {path}"


if __name__ == "__main__":
    sys.exit(main())
