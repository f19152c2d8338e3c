"""Compare finished runs, and say whether their difference is more than chance.

usage: python -m lightseg.compare RUN... [--baseline GROUP] [--by KEY] [--metric NAME] [--split SPLIT]
                                  [--csv FILE] [--json FILE] [--html FILE] [--force]
                                  [--trust]

  RUN               run folders, folders of series, folders that hold runs at any depth, or patterns in quotes
                    ("runs/unet/2026*"); DIR of `evaluate RUN+RUN --out DIR` stands for the ensemble and its members
  --baseline GROUP  compare the others with this group only: its name in the table, or the folder of one of its runs
  --by KEY          one group for each value of a key, such as model.net.encoder or just encoder, or for each run (run);
                    otherwise runs are grouped by their whole recipe, so that only seeds differ within a group; beside
                    an ensemble, each run is a group
  --metric NAME     score (mIoU, accuracy); miou, accuracy, mean_accuracy, dice; accuracy, balanced_accuracy, macro_f1
  --split SPLIT     test or val; test where all runs have it, val for the folds of a cross-validation
  --csv FILE        a row for each group
  --json FILE       everything: groups, runs, scores, intervals, pairs, classes
  --html FILE       a page to look at, in one file: curves, bars, confusion matrices, images where the runs disagree
  --force           compare what was scored on other content or in another way, too, on the images in common
  --trust           with --html: import and run classes of the runs that are not of lightseg; they are printed

Intervals come from drawing the images anew 10,000 times, the same ones for all runs. Where both groups of a pair have
several runs, the chance of training is in the interval, too. All intervals and p hold together, however many pairs
there are.

Example:
  python -m lightseg.compare runs/unet runs/fcn --html compare.html

Exit codes: 0 done, 2 bad input.
"""

import sys
from pathlib import Path

from lightseg.cli.entry import Arguments, verb
from lightseg.errors import UserError
from lightseg.files.atomic import require_writable
from lightseg.files.printable import printable


@verb(__doc__)
def main(args: list[str]) -> None:
    """Compare runs."""
    parser = Arguments("compare")
    parser.add_argument("runs", metavar="RUN", nargs="+")
    for name in ("--baseline", "--by"):
        parser.add_argument(name)
    parser.add_argument("--metric", default="score")
    parser.add_argument("--split", choices=("test", "val"))
    for name in ("--csv", "--json", "--html"):
        parser.add_argument(name, type=Path)
    for name in ("--force", "--trust"):
        parser.add_argument(name, action="store_true")
    options = parser.parse_intermixed_args(args)

    outputs = {option: path for option in ("--csv", "--json", "--html") if (path := getattr(options, option[2:]))}
    for option, path in outputs.items():
        require_writable(path, option)
    if len(set(outputs.values())) < len(outputs):
        raise UserError(f"{' and '.join(outputs)}: one file cannot hold them all; give each a name of its own")

    from lightseg.comparison import export, table
    from lightseg.comparison.analysis import compare
    from lightseg.runs import read

    runs, notes = read.find(options.runs)
    comparison = compare(
        runs, options.by, options.metric, options.split, options.baseline, force=options.force, notes=notes
    )
    table.show(comparison)
    if options.csv:
        export.write_csv(comparison, options.csv)
    if options.json:
        export.write_json(comparison, options.json)
    if options.html:
        # it imports matplotlib and loads the nets
        from lightseg.comparison.html import write_page

        write_page(comparison, options.html, options.trust)
    for path in outputs.values():
        print(printable(f"written: {path}"))


if __name__ == "__main__":
    sys.exit(main())
