"""Where a finished run fails, how sure it is, and what it looks at: one page of HTML.

usage: python -m lightseg.explain RUN [--split SPLIT] [--out FILE] [--images N] [--data.OPTION VALUE...] [--trust]

  RUN            a run folder
  --split SPLIT  val or test (test where there is one, else val)
  --out FILE     where to write the page (RUN/explain.html)
  --images N     how many images to show of each class, and half as many of each confusion (4)
  --data.OPTION  where the data has moved to: --data.root OTHER
  --trust        import and run what the run names that is not of lightseg, such as a net of your own; it is said

Example:
  python -m lightseg.explain runs/unet/20260102T030405-a1b2

The page holds: where errors are concentrated, the most important first; all errors in parts that add up; the worst
images of each class; what is taken for what; whether the net is right as often as it is sure; what it looks at, with a
test whether that can be believed; its uncertainty beside its errors. It needs no network. What the net looks at takes
captum: pip install 'lightseg[explain]'

Exit codes: 0 done, 2 bad input.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightseg.checkpoint.locate import model_file, run_folder
from lightseg.cli.argv import options_of
from lightseg.cli.entry import Arguments, verb
from lightseg.errors import DataError, UserError, require
from lightseg.files.atomic import require_in_place, require_writable
from lightseg.files.printable import printable
from lightseg.runs.fingerprint import differ
from lightseg.runs.records import read_record

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.tasks import Stage


@verb(__doc__)
def main(args: list[str]) -> None:
    """Write the page of a run."""
    parser = Arguments("explain")
    parser.add_argument("run")
    parser.add_argument("--split", choices=("val", "test"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--trust", action="store_true")
    own, options = options_of(args, "--data")
    asked, unknown = parser.parse_known_args(own)
    folder = run_folder(asked.run, "RUN")
    out: Path = asked.out or folder / "explain.html"
    if asked.out is None:
        require_in_place(out, "remove it, or give another place by --out FILE")
    require_writable(out, "--out")
    require(asked.images >= 1, f"--images: {asked.images} is not a number of images; give 1 or more")
    if unknown:
        raise UserError(f"unknown argument {unknown[0]}; `{parser.prog} --help` tells more")
    model_file(folder)

    import torch

    import lightseg
    from lightseg.checkpoint.rebuild import data_and_block, scoring_changes
    from lightseg.explanation.explanation import explain
    from lightseg.explanation.html import write_page
    from lightseg.explanation.text import sentence

    known = _scored_on(folder)
    task = lightseg.load(folder, asked.trust).to("cuda" if torch.cuda.is_available() else "cpu")
    data, *blocks = data_and_block(task.recipe["config"], options, asked.trust, model_file(folder))
    split = _split(folder, known, data, asked.split)
    for key in scoring_changes(*blocks):
        raise UserError(f"--{key}: changes what {folder} was scored on, which the page is about; leave it out")
    found = explain(task, data, split, asked.images)
    write_page(found, f"{folder.resolve().parent.name}/{folder.resolve().name}", out)
    for finding in found.findings[:2]:
        print(f"{sentence(finding, found.observations)}{'' if finding.is_significant else ' (may be chance)'}")
    if isinstance(found.saliency, str):
        print(f"what the net looks at is left out: {found.saliency}")
    print(printable(f"written: {out}"))


def _split(folder: Path, known: dict[str, Any], data: "ImageDataModule", asked: "Stage | None") -> "Stage":
    """The split that is meant, which is what the run was scored on.

    Raises:
        DataError: If it is empty, or another than then.
    """
    split: Stage = asked or ("test" if known["test"]["samples"] else "val")
    if not known[split]["samples"]:
        raise DataError(f"the {split} split of {folder} is empty; take --split {'val' if split == 'test' else 'test'}")
    if differ(data.split_fingerprint(split), known[split].get("sha256")):
        raise DataError(f"the {split} split is not any more what {folder} was scored on; --data.root says where it is")
    return split


def _scored_on(folder: Path) -> dict[str, Any]:
    """Samples and hash of each split."""
    known = read_record(folder / "data.json") if (folder / "data.json").is_file() else {}
    if not all(isinstance(known.get(split), dict) and "samples" in known[split] for split in ("val", "test")):
        raise UserError(f"{folder / 'data.json'}: missing or damaged; it says what the run was scored on")
    return known


if __name__ == "__main__":
    sys.exit(main())
