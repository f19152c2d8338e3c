"""What a slow W&B service costs a training: the same run without W&B and with a service that takes its time to answer.

usage: python experiments/benchmarks/wandb_cost.py [--seconds S] [--pairs N]

The service is the tests' own, on this machine, whose cores it shares. Compared is the time of the training, start
and end apart; start and end together are shown beside, since they are bounded but not short.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runner import arguments

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.helpers.fake_wandb import Delay, FakeWandb  # noqa: E402 - it is no package of its own

RECIPE = ["--config", "experiments/shapes/unet.yaml", "--trainer.max_epochs", "8"]


def run(folder: Path, options: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds that a run takes to train, and those of all else."""
    command = [sys.executable, "-m", "lightseg.fit", *RECIPE, *options, "--runs_dir", str(folder)]
    since = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    whole = time.perf_counter() - since
    numbers = json.loads((Path(done.stdout.splitlines()[-1].removeprefix("run: ")) / "metrics.json").read_text())
    return numbers["train/seconds"], whole - numbers["train/seconds"]


def main() -> None:
    """Run the pairs, and print the ratio of each."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, metavar="S", default=2.0, help="how long the service takes to answer")
    parser.set_defaults(pairs=2)
    options = parser.parse_args()
    delay, ratios = options.seconds, []
    for _ in range(options.pairs):
        with tempfile.TemporaryDirectory() as place, FakeWandb() as service:
            service.fail = lambda *_: Delay(delay)
            folder = Path(place)
            plain, rest = run(folder / "plain", [], {})
            slow, more = run(folder / "slow", ["--config", "configs/logging/wandb.yaml"], service.env(folder))
        ratios.append(slow / plain)
        print(
            f"training {plain:.1f} s, with W&B {slow:.1f} s ({slow / plain:.3f}); all else {rest:.1f} s, {more:.1f} s"
        )
    print(f"training with a service that takes {delay:g} s to answer: {statistics.median(ratios):.3f} of that without")


if __name__ == "__main__":
    main()
