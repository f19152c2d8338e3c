"""Check of points of a search space by the recipe's parser, in a process of its own, since it imports torch."""

import json
import subprocess
import sys
from collections.abc import Sequence

from lightseg.cli.argv import option_values
from lightseg.cli.entry import guarded
from lightseg.config.compose import chain
from lightseg.errors import ConfigError
from lightseg.series.progress import ERROR


def require_valid(commands: Sequence[Sequence[str]]) -> None:
    """Check that data, net and optimizer of each command line of `fit` can be built.

    Raises:
        ConfigError: With the message of the first one that cannot be.
    """
    process = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if process.returncode:
        _, _, message = process.stderr.rpartition(ERROR)
        raise ConfigError(message.strip() or "the recipe cannot be checked")


def main() -> None:
    """Build what the command lines of `fit` on standard input describe."""
    from lightseg.cli.lightning_cli import LightsegCLI
    from lightseg.distributed.lightning_compat import silence_lightning

    silence_lightning()
    for command in json.load(sys.stdin):
        for name in option_values(command, "-c", "--config"):
            sys.path.append(str(chain(name)[-1].parent))
        LightsegCLI(command)


if __name__ == "__main__":
    sys.exit(guarded(main))
