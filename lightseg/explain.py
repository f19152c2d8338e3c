"""Write a page of HTML about the errors, the confidence and the saliency of a finished run.

usage: python -m lightseg.explain RUN [--split SPLIT] [--out FILE] [--images N] [--data.OPTION VALUE...] [--trust]

  RUN            a run folder; several joined by +, or a pattern of them in quotes ('runs/unet/*'), are an ensemble: the
                 mean of their probabilities
  --split SPLIT  val or test (test where there is one, else val)
  --out FILE     where to write the page (RUN/explain.html); needed for an ensemble
  --images N     how many images to show of each class, and half as many of each confusion (4)
  --data.OPTION  options of the data, such as --data.root OTHER if it has moved
  --trust        import and run classes that are not of lightseg, such as a net of your own; they are printed

Example:
  python -m lightseg.explain runs/unet/20260102T030405-a1b2

The page shows concentrations of errors, the most important first; all errors by type; the worst images of each class;
confusions; calibration; saliency maps with a deletion test; uncertainty compared with errors. Of classes that may
overlap, it has the scores of each at its threshold, and instead of confusions the false alarms where another class is.
It needs no network.
Saliency maps need captum: pip install 'lightseg[explain]'

Exit codes: 0 done, 2 bad input.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightseg.checkpoint.locate import model_file, run_folder, split_members
from lightseg.cli.argv import split_options
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
    arguments, data_options = split_options(args, "--data")
    options = parser.parse_args(arguments)
    folders = [run_folder(member, "RUN") for member in split_members(options.run)]
    is_placed = options.out is not None or len(folders) == 1
    require(is_placed, "--out: an ensemble is in no run folder; say where the page is to go")
    out: Path = options.out or folders[0] / "explain.html"
    if options.out is None:
        require_in_place(out, "remove it, or give another place by --out FILE")
    require_writable(out, "--out")
    require(options.images >= 1, f"--images: {options.images} is not a number of images; give 1 or more")
    runs: list[tuple[Path, Path | None]] = [(model_file(folder), folder) for folder in folders]

    import torch

    from lightseg.evaluation.trained_model import TrainedModel
    from lightseg.explanation.explanation import explain
    from lightseg.explanation.html import write_page
    from lightseg.explanation.text import sentence

    splits = [_read_splits(folder) for folder in folders]
    model = TrainedModel.of_runs(runs, options.trust)
    data, changes = model.data(None, data_options)
    split: Stage = options.split or ("test" if splits[0]["test"]["samples"] else "val")
    model.require_unseen(split)
    for folder, recorded in zip(folders, splits, strict=True):
        _require_scored(folder, recorded, data, split)
    for key in changes:
        raise UserError(f"--{key}: changes what {folders[0]} was scored on, which the page is about; leave it out")
    task = model.task.to("cuda" if torch.cuda.is_available() else "cpu")
    explanation = explain(task, data, split, options.images)
    title = " + ".join(f"{folder.resolve().parent.name}/{folder.resolve().name}" for folder in folders)
    write_page(explanation, title, out)
    for finding in explanation.findings[:2]:
        print(f"{sentence(finding, explanation.observations)}{'' if finding.is_significant else ' (may be chance)'}")
    if isinstance(explanation.saliency, str):
        print(f"what the net looks at is left out: {explanation.saliency}")
    print(printable(f"written: {out}"))


def _require_scored(folder: Path, splits: dict[str, Any], data: "ImageDataModule", split: "Stage") -> None:
    """Check that a split is not empty, and that it is the one that a run was scored on.

    Raises:
        DataError: If it is not.
    """
    if not splits[split]["samples"]:
        raise DataError(f"the {split} split of {folder} is empty; take --split {'val' if split == 'test' else 'test'}")
    if differ(data.split_fingerprint(split), splits[split].get("sha256")):
        raise DataError(f"the {split} split is not any more what {folder} was scored on; --data.root says where it is")


def _read_splits(folder: Path) -> dict[str, Any]:
    """Return number of samples and hash of each split, as the run was scored on them."""
    splits = read_record(folder / "data.json") if (folder / "data.json").is_file() else {}
    if not all(isinstance(splits.get(split), dict) and "samples" in splits[split] for split in ("val", "test")):
        raise UserError(f"{folder / 'data.json'}: missing or damaged; it says what the run was scored on")
    return splits


if __name__ == "__main__":
    sys.exit(main())
