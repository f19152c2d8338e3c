"""What bfloat16 gains: the same training in bf16-mixed and in float32.

usage: python experiments/benchmarks/precision.py [--pairs N]

U-Net on ResNet-18 as in `overhead.py`, through `lightseg.fit`, in turn in this process; on a GPU U-Net on ResNet-34.
"""

import argparse
import warnings
from collections.abc import Iterator

import torch
from overhead import by_lightseg, unet
from table import Row, in_turn, main

from lightseg.training import hush_lightning


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """One net on the device that is there; what a GPU gives is a row of its own."""
    hush_lightning()
    warnings.simplefilter("ignore")
    recipe, steps = unet()
    net = "resnet34" if torch.cuda.is_available() else "resnet18"
    recipe = [*recipe, "--model.net.encoder", net]
    ours, theirs = in_turn(
        lambda: by_lightseg(recipe, steps), lambda: by_lightseg(recipe, steps, "32-true"), options.pairs
    )
    yield Row(f"U-Net on {net}, 256², batch 8: bf16-mixed", "images/s", ours, "the same in float32", theirs)
    if not torch.cuda.is_available():
        missing = "not yet measured: needs a GPU"
        yield Row("U-Net on resnet34, 256², bf16-mixed on a GPU", "images/s", against="float32", note=missing)


if __name__ == "__main__":
    main(__doc__, rows)
