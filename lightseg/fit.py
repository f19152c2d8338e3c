"""Train a recipe, then load the best checkpoint again, score it on val and test it once.

usage: python -m lightseg.fit --config RECIPE [--config OVERLAY]... [--key value]...
       python -m lightseg.fit --resume RUN

  --config FILE            a recipe, then overlays; later ones win (experiments/, configs/)
  --model.net NAME         swap the network: SimpleCNN, FCN, UNet, SmpNet, TimmNet, TorchvisionNet, or my_file.MyNet
  --model.net.encoder NAME swap the backbone
  --model.optimizer.lr X   learning rate
  --data.root DIR          where the data is
  --data.batch_size N      samples per optimiser step, over all processes
  --data.num_workers N     loading processes
  --trainer.max_epochs N   any option of Lightning's Trainer: devices, strategy, precision, accumulate_grad_batches, ...
  --seed_everything N      seed of the run (0)
  --runs_dir DIR           where run folders are made (runs)
  --name NAME              name of the experiment (the recipe's)
  --resume RUN             go on with a run that was killed or stopped, as if it had not been
  --save_every_minutes N   how often the state is saved between validations (10); --save_every_n_steps N likewise
  --print_config           print the composed recipe and stop
  --help_all               every option with its type and default; --model.net.help NAME: those of one class

Example:
  python -m lightseg.fit --config experiments/shapes/unet.yaml --model.net.width 32 --trainer.max_epochs 5

The last line printed is `run: PATH`. Exit codes: 0 done, 1 failed in the run, 2 bad input,
128 + signal if stopped by one (130 for Ctrl-C).
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

from lightseg.compose import chain
from lightseg.errors import UserError
from lightseg.main import guarded


def main(args: list[str] | None = None) -> int:
    """Run the verb.

    Args:
        args: The command line without the program's name; the process's own if left out.

    Returns:
        The exit code.
    """
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(__doc__.partition("\n\n")[2].strip())
        return 0
    return guarded(lambda: _fit(args))


def _fit(args: list[str]) -> None:
    args = _resumed(args)
    for name in _config_files(args):
        # a missing file is said before anything heavy is imported; a class in a file beside the recipe is found
        sys.path.append(str(chain(name)[-1].parent))
    from lightseg.training import fit

    fit(["--help" if arg == "--help_all" else arg for arg in args])


def _resumed(args: list[str]) -> list[str]:
    """The arguments behind the recipe of the run that is to go on, so that they may be those of before or overlays.

    Raises:
        UserError: If what is to go on is no run folder.
    """
    runs = _values(args, "--resume")
    if runs and not (Path(runs[-1]) / "config.yaml").is_file():
        raise UserError(f"--resume {runs[-1]}: no run folder, which has a config.yaml{_nearby(Path(runs[-1]))}")
    if runs:
        environment = Path(runs[-1]) / "env.json"
        sys.path += json.loads(environment.read_text()).get("import_path", []) if environment.is_file() else []
        return ["--config", str(Path(runs[-1]) / "config.yaml"), *args]
    return args


def _nearby(path: Path) -> str:
    """The run folder that may have been meant: the newest one below, or the one that a file is in."""
    below = sorted(config.parent for config in path.glob("*/config.yaml"))
    above = [folder for folder in path.parents if (folder / "config.yaml").is_file()]
    near = [*below[-1:], *above[:1]]
    return f"; did you mean {near[0]}?" if near else "" if path.exists() else "; there is no such folder"


def _config_files(args: list[str]) -> list[str]:
    return _values(args, "-c") + _values(args, "--config")


def _values(args: list[str], option: str) -> list[str]:
    following = [value for name, value in pairwise(args) if name == option]
    return following + [arg.partition("=")[2] for arg in args if arg.startswith(f"{option}=")]


if __name__ == "__main__":
    sys.exit(main())
