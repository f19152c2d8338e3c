"""Run all benchmarks one after another, print their table, and write it into experiments/README.md.

usage: python experiments/benchmarks/run.py [--pairs N] [--precision NAME] [--camvid ROOT] [--cifar ROOT] [--names N]

At most 35 minutes on two cores that have nothing else to do, three at most for a row: the number of steps follows from
a first measurement. A benchmark that fails is a row that says why.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "README.md"
MINUTES = 35


def main() -> None:
    """Run them all, in order of worth."""
    import loading
    import overhead
    import peers
    import precision
    import scale
    import startup
    from machine import describe
    from runner import arguments, measured, prepared
    from table import markdown, write

    options = arguments(__doc__ or "").parse_args()
    start = time.perf_counter()
    rows, previous = [], start
    with prepared(options):
        suites = (overhead, startup, peers, loading, scale, precision)
        benchmarks = [benchmark for suite in suites for benchmark in suite.suite(options)]
        for row in measured(benchmarks, seconds=60 * MINUTES):
            rows.append(row)
            now = time.perf_counter()
            print(f"{markdown([row]).splitlines()[-1]} {now - previous:.0f} s", flush=True)
            previous = now
    minutes = (time.perf_counter() - start) / 60
    # the places of the data are this machine's own
    data = [f"--{name} {name.upper()}" for name in ("camvid", "cifar") if getattr(options, name)]
    command = f'make bench ARGS="{" ".join(data)}"' if data else "make bench"
    header = f"{describe(options.precision, options.reason)} n counts pairs, or repetitions of what stands alone."
    text = f"{header} Measured by `{command}`, {datetime.now(UTC):%d %B %Y}, {minutes:.0f} minutes.\n\n{markdown(rows)}"
    write(PAGE, text)
    print(f"\n{text}")
    sys.exit(any(row.has_failed for row in rows))


if __name__ == "__main__":
    main()
