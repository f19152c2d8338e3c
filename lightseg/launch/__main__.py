"""Launch a run, or a series of runs, on a cluster.

usage: python -m lightseg.launch slurm [--nodes N] [--gpus N] [options] [--dry-run] -- ARGUMENTS OF FIT
       python -m lightseg.launch ray [--nodes N] [--gpus N] [options] -- ARGUMENTS OF FIT
       python -m lightseg.launch skypilot --gpu-type NAME [--nodes N] [--gpus N] [options] -- ARGUMENTS OF FIT
       python -m lightseg.launch kubeflow --image IMAGE [--nodes N] [--gpus N] [options] -- ARGUMENTS OF FIT

  --nodes N            machines of a run; workers of Ray (1)
  --gpus N             GPUs of each machine or worker, with a process for each (1); ray: 0 for one process without
  --name NAME          name of the job (the recipe's)
  --setup COMMAND      slurm, skypilot: a shell command before the run, such as 'module load cuda'; may be repeated
  --partition NAME     slurm: partition
  --time LIMIT         slurm: time limit, such as 4:00:00; two minutes before it, the run saves its state and requeues
  --cpus N             slurm, ray: cores of each process
  --sbatch KEY=VALUE   slurm: another option of sbatch, such as account=lab; may be repeated
  --dry-run            slurm: print the script instead of submitting it
  --storage-path DIR   ray: where run folders are made, which all machines share (runs)
  --max-failures N     ray: how often the processes are started again after one has died (3)
  --gpu-type NAME      skypilot: accelerator, such as H100
  --image IMAGE        kubeflow: container image with lightseg, the recipe and the data
  --runtime NAME       kubeflow: TrainingRuntime of the cluster (torch-distributed)

Example:
  python -m lightseg.launch slurm --nodes 2 --gpus 8 --time 4:00:00 --dry-run -- --config RECIPE --seeds 0,1,2

ray trains on the cluster that RAY_ADDRESS or `ray start` names, else on this machine, and waits for the end of the run;
a signal stops it before the next step. It needs pip install 'lightseg[ray]'.
A series (--seeds, --folds, --grid) is an array on SLURM, with a task for each run and at most --jobs of them at a time;
elsewhere its runs share the GPUs of one machine. A job that dies or is queued again goes on with its run, whose folder
must be on a file system that all machines share. The files of skypilot and kubeflow are printed, for
`sky jobs launch task.yaml` and `kubectl create -f job.yaml`. A file is one job: started again, it goes on with its run.
Exit codes: 0 done, 1 the scheduler refused the job or the run failed, 2 bad input, 128 + signal if one stopped the run.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec

from lightseg.cli.argv import option_names, option_values, require_known_options, require_printable, text_option
from lightseg.cli.entry import Arguments, verb
from lightseg.cli.find_option import split_find
from lightseg.config.compose import chain
from lightseg.errors import require
from lightseg.launch import kubeflow, skypilot, slurm
from lightseg.launch.job import RESTARTS, Job
from lightseg.runs import folder as run_folders
from lightseg.series.options import asks_for_series

_ENGINES = ("slurm", "ray", "skypilot", "kubeflow")

_OPTIONS = {
    "setup": ("slurm", "skypilot"),
    "cpus": ("slurm", "ray"),
    **dict.fromkeys(("partition", "time", "sbatch", "dry_run"), ("slurm",)),
    **dict.fromkeys(("storage_path", "max_failures"), ("ray",)),
    "gpu_type": ("skypilot",),
    **dict.fromkeys(("image", "runtime"), ("kubeflow",)),
}
"""Engines of the options that not all of them have."""


@verb(__doc__)
def main(args: list[str]) -> None:
    """Launch a run or a series."""
    separator = args.index("--") if "--" in args else len(args)
    options = _parse(args[:separator])
    job = _make_job(options, args[separator + 1 :])
    if options.engine == "slurm":
        script = slurm.render(job, options.partition, options.time, options.cpus, options.sbatch or [])
        print(script if options.dry_run else slurm.submit(script), end="")
    elif options.engine == "ray":
        require(find_spec("ray") is not None, "ray: is not installed; pip install 'lightseg[ray]'")
        from lightseg.launch import ray_train

        ray_train.launch(job, options.cpus, RESTARTS if options.max_failures is None else options.max_failures)
    elif options.engine == "skypilot":
        require(options.gpu_type, "--gpu-type: is missing; name the accelerator, such as H100 (`sky show-gpus`)")
        print(skypilot.render(job, options.gpu_type), end="")
    else:
        require(options.image, "--image: is missing; name a container image with lightseg, the recipe and the data")
        print(kubeflow.render(job, options.image, options.runtime or "torch-distributed"), end="")


def _parse(args: Sequence[str]) -> Namespace:
    """Parse the options of the launcher."""
    parser = Arguments("launch")
    parser.add_argument("engine", choices=_ENGINES)
    for name in ("--nodes", "--gpus"):
        parser.add_argument(name, type=int, default=1)
    for name in ("--cpus", "--max-failures"):
        parser.add_argument(name, type=int)
    for name in ("--name", "--partition", "--time", "--storage-path", "--gpu-type", "--image", "--runtime"):
        parser.add_argument(name)
    for name in ("--setup", "--sbatch"):
        parser.add_argument(name, action="append")
    parser.add_argument("--dry-run", action="store_true", default=None)
    options = parser.parse_args(args)
    for name, engines in _OPTIONS.items():
        is_known = options.engine in engines or getattr(options, name) is None
        flag = name.replace("_", "-")
        require(is_known, f"--{flag}: is for {' and '.join(engines)}, not for {options.engine}; leave it out")
    for name, least in {"nodes": 1, "gpus": int(options.engine != "ray"), "cpus": 1, "max_failures": 0}.items():
        value, flag = getattr(options, name), name.replace("_", "-")
        require(value is None or value >= least, f"--{flag}: {value}; give a number from {least} on")
    return options


def _make_job(options: Namespace, arguments: list[str]) -> Job:
    """Return the job, after a check that `fit` knows its options, and that its recipe exists."""
    require(bool(arguments), "launch: the arguments of fit are missing; give them behind --, as in -- --config RECIPE")
    require(arguments[0].startswith("-"), f"'{arguments[0]}' belongs to no option of fit; give a recipe as --config")
    require_known_options(arguments)
    require_printable(arguments)
    split_find(arguments)
    # the runs of a series on one machine may take some of its GPUs each
    is_shared = options.engine != "slurm" and asks_for_series(arguments)
    for name, flag in () if is_shared else (("devices", "gpus"), ("num_nodes", "nodes")):
        is_given = bool(option_values([*arguments, ""], f"--trainer.{name}"))
        require(not is_given, f"--trainer.{name}: --{flag} sets it; leave it out")
    if options.storage_path:
        require(
            "://" not in options.storage_path, f"--storage-path {options.storage_path}: give a folder, not an address"
        )
        require("runs_dir" not in option_names(arguments), "--runs_dir: --storage-path sets it; leave one of them out")
        arguments = [*arguments, f"--runs_dir={options.storage_path}"]
    recipes = option_values(arguments, "-c", "--config")
    name = options.name or text_option(arguments, "name") or (chain(recipes[0])[-1].stem if recipes else "fit")
    run_folders.require_name(name)
    return Job(name, options.nodes, options.gpus, options.setup or [], arguments)


if __name__ == "__main__":
    sys.exit(main())
