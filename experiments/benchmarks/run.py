"""All benchmarks one after the other: prints the table, and writes it into experiments/README.md.

usage: python experiments/benchmarks/run.py [--pairs N] [--camvid ROOT] [--cifar ROOT] [--airbench FILE] [--names N]

About forty minutes on two cores that have nothing else to do. A benchmark that fails leaves the page as it was.
"""

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "README.md"


def main() -> None:
    """Run them all."""
    import cifar_fast
    import loading
    import overhead
    import peers
    import precision
    import scale
    import startup
    from table import arguments, machine, markdown, write

    options = arguments(__doc__).parse_args()
    since, measured = time.perf_counter(), []
    for benchmark in (overhead, startup, loading, scale, precision, peers, cifar_fast):
        for row in benchmark.rows(options):
            measured.append(row)
            print(markdown([row]).splitlines()[-1], flush=True)
    minutes = (time.perf_counter() - since) / 60
    # the places of the data are this machine's own
    given = [f"--{name} {name.upper()}" for name in ("camvid", "cifar", "airbench") if getattr(options, name)]
    command = f'make bench ARGS="{" ".join(given)}"' if given else "make bench"
    when = f"`{command}`, {datetime.now(UTC):%d %B %Y}, {minutes:.0f} minutes"
    text = f"{markdown(measured)}\n\nHardware and versions: {machine()}\nMeasured by {when}."
    write(PAGE, text)
    print(f"\n{text}")


if __name__ == "__main__":
    # what is decoded for a benchmark is forgotten afterwards
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LIGHTSEG_CACHE"] = cache
        main()
