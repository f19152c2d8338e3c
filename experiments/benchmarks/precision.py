"""The gain of bfloat16: the same training in bf16-mixed and in float32.

usage: python experiments/benchmarks/precision.py [--pairs N] [--precision NAME]

U-Net on ResNet-18 as in `overhead.py`, through `lightseg.fit`, in two processes that take turns. Measured where
`precision: auto` takes bf16-mixed; elsewhere bfloat16 is emulated, and its training would outlast all other rows.
"""

import argparse
from collections.abc import Iterator

from overhead import unet
from runner import BUDGET, Benchmark, main
from table import Row
from turns import step_rates


def compare(options: argparse.Namespace) -> Iterator[Row]:
    """Measure both precisions."""
    training = unet(options.precision)
    if options.precision != "bf16-mixed":
        note = f"not measured: {options.precision} is what this machine is measured in, {options.reason}"
        name = training.name.replace(options.precision, "bf16-mixed")
        yield Row(name, "images/s", against="the same in 32-true", note=note)
        return
    sides = [training.by_lightseg(options.scratch / "runs", each) for each in (options.precision, "32-true")]
    measurements = list(step_rates(sides, options.pairs, BUDGET))
    ours, theirs = ([training.batch * rate for rate in rates] for rates in zip(*measurements, strict=True))
    yield Row(training.name, "images/s", ours, "the same in 32-true", theirs)


def suite(options: argparse.Namespace) -> list[Benchmark]:
    """Return the comparison."""
    return [Benchmark("bf16-mixed against 32-true", lambda: compare(options))]


if __name__ == "__main__":
    main(__doc__, suite)
