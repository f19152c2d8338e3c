"""Search for the values of a recipe's keys, then train the winner on fresh seeds and score it again.

usage: python -m lightseg.search RECIPE --study FILE [--config OVERLAY]... [--objective NAME,NAME] [--jobs N]
                                 [--group NAME] [--key value]...
       python -m lightseg.search --resume SEARCH [--jobs N]

  RECIPE            a recipe; overlays and options of `fit` hold for all trials
  --study FILE      the search space, and how it is searched:
                      space:                   # keys of the recipe, as on the command line of `fit`
                        model.optimizer.lr: {low: 1e-4, high: 1e-2, log: true}
                        model.net.width: {low: 8, high: 32, step: 8}
                        model.net.encoder: [resnet18, resnet34]
                      trials: 20
                      sampler: tpe             # tpe, random, nsga2
                      pruner: null             # median, hyperband: stop trials that are worse than the others
                      objective: [score]       # score, then flops, parameters or latency
                      winner_seeds: 3          # seeds that the winner is trained on
                      storage: sqlite          # sqlite; journal for network file systems
                      seed: 0                  # of the sampler
  --objective NAMES in place of those of the file, as in score,flops
  --jobs N          trials at a time, as of `fit`
  --group NAME      group of the trials; the runs of the winner have the group NAME-winner
  --resume SEARCH   go on with a search that was killed or stopped, as the same command does

Example:
  python -m lightseg.search experiments/shapes/unet.yaml --study study.yaml --objective score,flops --jobs 2

Every trial is a run with the budget and the seed of the recipe, and its score is that of its best checkpoint on val.
The report compares the score that the selection promised with that of the winner on seeds that no trial had. It is
printed, and written into the folder of the search with a picture of the Pareto front. A trial that fails counts as
one of the trials. `latency` is the median of a forward pass in milliseconds on this machine, for one validation image
in float32, of one thread where it is a CPU. Needs pip install 'lightseg[search]'.

The last line printed is `search: PATH`. Exit codes: 0 done, 1 no trial or not all runs of the winner finished, or the
disk is full, 2 bad input, 128 + signal if stopped by one.
"""

import sys
from importlib.util import find_spec

from lightseg.cli.entry import verb
from lightseg.errors import require
from lightseg.files.printable import printable


@verb(__doc__, imports_user_code=True)
def main(args: list[str]) -> None:
    """Search, and report."""
    require(
        find_spec("optuna") is not None, "search needs optuna, which is not installed: pip install 'lightseg[search]'"
    )
    from lightseg.search.report import make_report, show_in_wandb, write_report
    from lightseg.search.run import run

    search, series = run(args)
    report = make_report(search, series)
    print(printable(f"\n{write_report(report)}"), flush=True)
    show_in_wandb(report)
    print(printable(f"search: {search.folder}"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
