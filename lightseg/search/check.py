"""Check of points of a search space by the recipe's parser, in a process of its own, since it imports torch."""

import json
import sys
from collections.abc import Sequence

from lightseg.cli.argv import add_import_path
from lightseg.cli.child_process import run_child
from lightseg.cli.entry import guarded


def require_valid(commands: Sequence[Sequence[str]]) -> None:
    """Check that data, net and optimizer of each command line of `fit` can be built.

    Raises:
        ConfigError: With the message of the first one that cannot be.
    """
    run_child(__name__, commands)


def main() -> None:
    """Build what the command lines of `fit` on standard input describe."""
    from lightseg.cli.lightning_cli import LightsegCLI
    from lightseg.distributed.lightning_compat import silence_lightning

    silence_lightning()
    for command in json.load(sys.stdin):
        add_import_path(command)
        LightsegCLI(command)


if __name__ == "__main__":
    sys.exit(guarded(main))
