"""Train a recipe, then load the best checkpoint again, score it on val and test it once.

usage: python -m lightseg.fit --config RECIPE [--config OVERLAY]... [--key value]...
       python -m lightseg.fit --config RECIPE [--seeds 0,1,2] [--folds 5] [--grid KEY=V,V] [--jobs N] [--key value]...
       python -m lightseg.fit --resume RUN | SERIES
       python -m lightseg.fit --extend RUN --trainer.max_epochs N

  --config FILE            a recipe, then overlays; later ones win (experiments/, configs/)
  --model.net NAME         swap the network: Segmenter, UNet, FCN, SmpNet, TimmNet or my_file.MyNet (lightseg.list nets)
  --model.net.encoder NAME swap the backbone (`lightseg.list encoders`); --model.net.head NAME the head of Segmenter
  --model.optimizer.lr X   learning rate
  --model.init RUN         start from the weights of a trained model; its classes, channels and task may be others
  --model.teacher RUN      imitate a trained model of the same classes (distillation); several: RUN+RUN
  --data.root DIR          where the data is
  --data.batch_size N      samples per optimiser step, over all processes
  --data.num_workers N     loading processes
  --trainer.max_epochs N   any option of Lightning's Trainer: devices, strategy, precision, accumulate_grad_batches, ...
  --seed_everything N      seed of the run (0)
  --seeds 0,1,2            a run for each of these seeds, then the table that compares them
  --folds K                a run for each fold of a cross-validation: train and val are pooled and dealt into K parts
                           that are alike in their classes (samples of one group, such as MaskFolder's `group`, stay
                           together); part k is val of run k, the other parts train; test stays test
  --grid KEY=V,V [KEY=V,V] a run for each combination of values; with --seeds and --folds, for each of them, too
  --jobs N                 runs at a time, each with its GPUs, cores and output file (one for each GPU; without GPUs,
                           as many as have OMP_NUM_THREADS cores each, or one)
  --find NAMES             before the run, search for lr (a learning-rate range test), batch_size (the largest that fits
                           the memory of a GPU), or both as lr,batch_size; a series takes what its first run finds
  --group NAME             group of the run; runs of a series share one (the experiment's name and a stamp)
  --runs_dir DIR           where run folders are made (runs)
  --name NAME              name of the experiment (the recipe's)
  --resume RUN             go on with a run that was killed or stopped, as if it had not been; or with the runs that
                           are missing of a series, as the same command does
  --extend RUN             a new run that trains a finished one longer, up to N epochs in all, from its last state; the
                           schedule is that of N epochs, and early stopping starts anew
  --save_every_minutes N   how often the state is saved between validations (10); --save_every_n_steps N likewise
  --trust                  run classes that the file of --model.teacher names, such as a net of your own, and name them
  --print_config           print the composed recipe and stop
  --help_all               every option with its type and default; --model.net.help NAME: those of one class

Example:
  python -m lightseg.fit --config experiments/shapes/unet.yaml --model.net.width 32 --trainer.max_epochs 5

The last line printed is `run: PATH`. A series prints the table of its runs and `series: PATH`; a run that fails or is
killed does not stop the others. Exit codes: 0 done, 1 failed in the run or in one of a series, 2 bad input (in a
series: if the first run that failed has it), 128 + signal if stopped by one (130 for Ctrl-C).
"""

import os
import sys
from collections.abc import Sequence

from lightseg.checkpoint.locate import follow_imports, run_folder
from lightseg.cli.argv import add_import_path, option_names, option_values, prints_only, require_known_options
from lightseg.cli.entry import verb
from lightseg.cli.find_option import split_find
from lightseg.distributed import supervision
from lightseg.errors import ConfigError, DataError, require
from lightseg.files.printable import printable
from lightseg.files.version import __version__
from lightseg.series.options import asks_for_series, parse

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Variables with the rank of a process, as set by torchrun, Lightning and SLURM."""


@verb(__doc__, imports_user_code=True)
def main(args: list[str]) -> None:
    """Train a recipe."""
    supervision.end_with_launcher()
    _require_options(args)
    is_series = asks_for_series(args)
    if is_series and prints_only(args):
        first = parse(args)
        args, is_series = [*first.arguments, *first.options(0)], False
    args = args if is_series else _with_recipe(args)
    # a missing file is reported before the slow imports
    add_import_path(args)
    if is_series:
        run_series(args)
        return
    supervision.stop_with_series()
    _announce(args)
    from lightseg.training.run import fit

    try:
        fit(["--help" if arg == "--help_all" else arg for arg in args])
    except DataError as error:
        from lightseg.diagnosis.hint import add_doctor_hint

        add_doctor_hint(error, args)
        raise


def run_series(args: list[str]) -> None:
    """Run what is missing of a series, then print the table that compares its runs.

    Raises:
        SeriesError: If a run fails, or the runs cannot be compared.
    """
    from lightseg import compare
    from lightseg.series.run import SeriesError, run

    series, failure = run(args)
    finished = len(series.plan.runs) - len(series.unfinished())
    code = compare.main([str(series.folder)]) if finished else 0
    if code and not failure:
        failure = SeriesError(f"{series.folder}: the runs are finished, but could not be compared", code)
    if failure:
        raise failure
    print(printable(f"series: {series.folder}"), flush=True)


def _require_options(args: Sequence[str]) -> None:
    """Check that the command line has known options only.

    Raises:
        ConfigError: If it has another.
    """
    if not args[0].startswith("-"):
        raise ConfigError(f"'{args[0]}' belongs to no option; give a recipe as --config {args[0]}")
    require_known_options(args)
    split_find(args)
    if option_values(args, "--extend"):
        conflicts = [name for name in ("resume", "seeds", "folds", "grid", "jobs") if name in option_names(args)]
        require(
            not conflicts, f"--extend: trains one run longer; leave out {', '.join(f'--{name}' for name in conflicts)}"
        )


def _announce(args: Sequence[str]) -> None:
    """Print version and recipe before the imports of torch and lightning, which take seconds."""
    is_first = all(os.environ.get(rank, "0") == "0" for rank in _RANKS)
    if is_first and not prints_only(args):
        files = " + ".join(option_values(args, "-c", "--config")) or "no recipe"
        print(printable(f"lightseg {__version__}: {files} (importing torch …)"), flush=True)


def _with_recipe(args: list[str]) -> list[str]:
    """Return the arguments with the recipe of the run of `--resume` or `--extend` in front.

    Raises:
        UserError: If it is not a run folder.
    """
    for option in ("--resume", "--extend"):
        if runs := option_values(args, option):
            folder = run_folder(runs[-1], option)
            follow_imports(folder)
            return ["--config", str(folder / "config.yaml"), *args]
    return args


if __name__ == "__main__":
    sys.exit(main())
