"""Show the differences of two runs, and their effects.

usage: python -m lightseg.diff RUN RUN

The runs may be finished or not. A line for each difference between the second and the first, with its effect:

  affects metric  the numbers can be others: recipe, seed, data, code, packages that compute
  affects digits  on CPUs, other kernels or another number of threads: other last digits of the same experiment
  affects speed   the same computation, on another machine or arranged in another way
  cosmetic        neither: names, places, what is shown

and where it lies: recipe, code, data, environment or hardware. What was recorded but is of no effect, such as times and
folders, is not shown.

Other kernels or another number of threads on a CPU sum in another order, so the last digits differ; over many steps
that can move a score in its third digit. So do another device and number of devices, which count as speed. But where
BatchNorm is not synchronised, as on CPUs, each process normalises its own share of a batch: there another number of
processes affects the metric.

Data is compared by its fingerprint: paths and sizes of all files, 64 images of each split, and the class ids of every
mask. So a changed mask shows always; one changed pixel of an image shows in splits of up to 64 samples with files of up
to 4 MB, in larger ones if the file's size changes or the change lies in what is read. Of untracked files only the names
are known.

Example:
  python -m lightseg.diff runs/roads/20260102T030405-a1b2 runs/roads/20260102T040506-b2c3

Exit codes: 0 done, 2 bad input.
"""

import sys

from lightseg.checkpoint.locate import run_folder
from lightseg.cli.entry import verb
from lightseg.errors import UserError
from lightseg.files.printable import printable
from lightseg.runs.diff import diff_runs


@verb(__doc__)
def main(args: list[str]) -> None:
    """Show the differences of two runs."""
    if len(args) != 2 or any(arg.startswith("-") for arg in args):
        raise UserError("give two run folders: python -m lightseg.diff RUN RUN")
    differences, notes = diff_runs(*(run_folder(arg) for arg in args))
    for difference in differences:
        print(f"{difference.effect:<14}  {difference.area:<11}  {difference.text}")
    if not differences:
        print("no effective difference")
    print(*map(printable, notes), sep="\n", end="\n" * bool(notes), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
