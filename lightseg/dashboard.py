"""Make a W&B workspace that sets the runs of a project side by side, with the panels that matter for segmentation.

usage: python -m lightseg.dashboard PROJECT [--entity NAME] [--from RUN] [--baseline ID] [--dry-run]

  PROJECT        the W&B project, `project` in configs/logging/wandb.yaml
  --entity NAME  the user or team that the project belongs to (your default one)
  --from RUN     a run folder whose classes and choices get panels of their own
  --baseline ID  W&B id of the run that the others are compared with
  --dry-run      print the workspace as JSON and stop; no network, no key

Example:
  python -m lightseg.dashboard lightseg --from runs/unet/20260102T030405-a1b2

Needs `pip install wandb-workspaces`. Each call creates a new workspace and prints its address; existing ones are not
changed. Exit codes: 0 done, 2 bad input, no key, or W&B rejects it.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightseg.checkpoint.locate import run_folder
from lightseg.cli.entry import Arguments, verb
from lightseg.errors import UserError

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

CHOICES = (
    "model.init_args.net.class_path",
    "model.init_args.net.init_args.arch",
    "model.init_args.net.init_args.encoder",
    "model.init_args.net.init_args.width",
    "model.init_args.optimizer.class_path",
    "model.init_args.optimizer.init_args.lr",
    "model.init_args.loss",
    "model.init_args.class_weights",
    "model.init_args.logit_adjustment",
    "data.init_args.batch_size",
    "data.init_args.sampling",
    "data.init_args.copy_paste",
)
"""Keys of a config in which recipes mostly differ: the axes of the parallel coordinates."""


@verb(__doc__)
def main(args: list[str]) -> None:
    """Make the workspace, or print it."""
    parser = Arguments("dashboard")
    parser.add_argument("project", metavar="PROJECT")
    parser.add_argument("--entity", default="")
    parser.add_argument("--from", dest="run")
    parser.add_argument("--baseline")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(args)
    folder = run_folder(options.run, "--from") if options.run else None
    try:
        from lightseg.tracking.wandb_workspace import spec, workspace
    except ImportError as error:
        raise UserError(f"{error}: pip install 'wandb-workspaces>=0.4.13'") from None
    scores, choices = _of_run(folder) if folder else ([], CHOICES)
    board = workspace(options.project, options.entity, scores, choices, options.baseline)
    print(json.dumps(spec(board), indent=1, sort_keys=True) if options.dry_run else f"workspace: {_save(board)}")


def _of_run(folder: Path) -> tuple[list[str], list[str]]:
    """Return the scores by class of a run, such as `iou/road`, and the `CHOICES` that its recipe has."""
    from lightseg.runs.metrics_log import read_log
    from lightseg.runs.records import read_mapping
    from lightseg.tracking.wandb_workspace import PER_CLASS

    lines = read_log(folder) if (folder / "metrics.jsonl").exists() else []
    # in the order of the classes
    logged = {name: None for line in lines for name in line}
    scores = [name.removeprefix("val/") for name in logged if re.fullmatch(PER_CLASS, name)]
    config = read_mapping(folder / "config.yaml")
    return scores, [name for choice in CHOICES for name in _leaves(config, choice)]


def _leaves(config: Mapping[str, Any], key: str) -> list[str]:
    """Return the leaf keys at a dotted key of a config: the key, a key for each entry of a mapping, or none."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return []
        value = value[part]
    return [f"{key}.{name}" for name in value] if isinstance(value, dict) else [key]


def _save(board: "Workspace") -> str:
    """Send a workspace to W&B and return its address, without a prompt, within about ten seconds.

    Raises:
        UserError: If there is no key, or W&B rejects the workspace or does not answer.
    """
    import wandb

    # this module prints the messages of a login
    wandb.setup(settings=wandb.Settings(silent=True))
    try:
        if is_logged_in := wandb.login(prompt=False):
            board.entity = board.entity or str(wandb.setup().settings.entity or wandb.Api().default_entity)
            board.save()
    except Exception as error:  # the client's errors have no common base class
        raise UserError(f"W&B did not take the workspace: {error}") from None
    if not is_logged_in:
        raise UserError("W&B: no API key; run `wandb login`, or have the workspace printed with --dry-run")
    return str(board.url)


if __name__ == "__main__":
    sys.exit(main())
