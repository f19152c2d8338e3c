"""Write a first recipe for a folder of images, with the reasons for its settings.

usage: python -m lightseg.init FOLDER|FILE [--out RECIPE] [--data.KEY VALUE]...

  FOLDER            images with masks, one for all classes or one for each; with lists of images and masks for train
                    and val; with annotations (COCO, YOLO, LabelMe, CVAT); in a folder for each class; or with a CSV,
                    TSV or Parquet table of paths and classes, or with a column for each class
  FILE              annotations: JSON of COCO, YAML of YOLO or XML of CVAT, beside the images or in a folder beside them
  --out RECIPE      a new file (FOLDER.yaml in the working directory); a file that exists is never overwritten
  --data.KEY VALUE  an option of the data that the folder does not tell, such as --data.masks gt

The folder is listed, and up to 200 samples of each split are read: pairs, values, colors and palettes of masks, sizes
and bit depths of images, splits, groups in names, and the frequency of classes. A few lines say what it holds; the
comments of the recipe say why each setting is as it is, for this machine. What cannot be known is asked for in a line.
Where masks, columns or tags are of a class each, or outlines overlap in a tenth of their pixels, classes may overlap.

Names of classes come from a file beside the data: classes.txt, labels.txt, label_colors.txt or the like, with a name on
each line, or `name R G B`. Without one they are made up, and a comment says so.

Example:
  python -m lightseg.init my_data
  python -m lightseg.doctor my_data.yaml
  python -m lightseg.fit --config my_data.yaml

Exit codes: 0 done, 2 bad input, such as a folder whose layout is not known.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lightseg.cli.argv import require_bounded_value, split_options
from lightseg.cli.entry import Arguments, verb
from lightseg.errors import UserError
from lightseg.files.atomic import require_writable, write_atomically
from lightseg.files.names import ANNOTATION_SUFFIXES
from lightseg.files.printable import printable_line

_PREFIX = "--data."


@verb(__doc__)
def main(args: list[str]) -> None:
    """Write a first recipe."""
    arguments, words = split_options(args, _PREFIX)
    parser = Arguments("init")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    answers = _parse_answers(words)
    folder: Path = options.folder
    is_annotation = folder.is_file() and folder.suffix.lower() in ANNOTATION_SUFFIXES
    if not folder.is_dir() and not is_annotation:
        state = "is a file" if folder.exists() else "there is no such folder"
        raise UserError(f"{folder}: {state}; give a folder, or a JSON, YAML or XML file of annotations")
    out: Path = options.out or Path(f"{(folder.stem if is_annotation else folder.resolve().name) or 'recipe'}.yaml")
    _require_new(out)

    from lightseg.scaffold.annotation_layout import locate_file
    from lightseg.scaffold.choices import choose
    from lightseg.scaffold.recipe import format_recipe
    from lightseg.scaffold.settings import Machine
    from lightseg.scaffold.survey import survey_folder

    if is_annotation:
        folder, named = locate_file(folder)
        answers = {**named, **answers}
    survey = survey_folder(folder, answers)
    lines = [printable_line(line) for line in survey.lines]
    print(*lines, sep="\n", flush=True)
    title = f"First recipe, by `python -m lightseg.init {options.folder}`."
    text = format_recipe(choose(survey, Machine.detect()), [title, *lines])
    _require_new(out)
    write_atomically(out, text)
    name = printable_line(shlex.quote(str(out)))
    print(f"written: {name}\ncheck it: python -m lightseg.doctor {name}")
    print(f"train it: python -m lightseg.fit --config {name}")


def _parse_answers(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of the data on the command line.

    Raises:
        UserError: If one has no value, or its value is no YAML.
    """
    answers = {}
    names = iter(words)
    for word in names:
        name, is_joined, text = word.removeprefix(_PREFIX).partition("=")
        value = text if is_joined else next(names, None)
        if value is None:
            raise UserError(f"{_PREFIX}{name}: has no value; give one")
        require_bounded_value(value)
        try:
            answers[name] = yaml.safe_load(value)
        # the others are raised by the constructors of YAML for a value that is not of its tag
        except (yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError):
            raise UserError(f"{_PREFIX}{name}: {value} is no YAML; quote it") from None
    return answers


def _require_new(path: Path) -> None:
    """Check that a file does not exist and can be written.

    Raises:
        UserError: If not.
    """
    if path.exists():
        raise UserError(f"{path}: exists, and is not overwritten; give another name: --out NAME.yaml, or remove it")
    require_writable(path, "--out")


if __name__ == "__main__":
    sys.exit(main())
