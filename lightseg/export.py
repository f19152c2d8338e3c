"""Export a trained model, compared with torch, with the metadata that its users need.

usage: python -m lightseg.export RUN [--format onnx|torch_export|safetensors] [--out DIR] [--int8] [--benchmark]
                                     [--sizes HxW,…] [--images N] [--tolerance T] [--licence NAME] [--push USER/REPO]
                                     [--soup] [--data.OPTION VALUE …] [--trust]

  RUN              a run folder, whose best checkpoint is meant
  --format         onnx (the default), torch_export (a .pt2 file), or safetensors, which lightseg.load reads
  --out DIR        where the files go (RUN/export)
  --int8           with onnx: also model.int8.onnx, quantised by 32 training images
  --benchmark      time torch and what was exported at each of the --sizes, on the CPU
  --sizes HxW,…    heights and widths to time (256x256,512x512, or what the net takes)
  --images N       how many validation images to check on (20); 0: random images, where the data is gone
  --tolerance T    largest difference of a probability that is let pass (0.001)
  --licence NAME   licence of the weights, by the Hub's names, such as mit; none is stated if left out
  --push USER/REPO send the files to the Hugging Face Hub
  --soup           export one model with the mean of the weights of several runs of one recipe, if it is no worse on val
                   than the best of them; RUN is then several run folders joined by +, or a pattern in quotes
                   ('runs/roads/*'), and needs --out
  --data.OPTION    changes the data of the run, such as --data.root FOLDER
  --trust          import and run classes that are not of lightseg, such as a net of your own; they are printed

Example:
  python -m lightseg.export runs/roads/20260102T030405-a1b2 --int8 --benchmark
  python -m lightseg.export 'runs/roads/*' --soup --format safetensors --out runs/roads-soup

The graph maps `image`, uint8 (N, C, H, W) as in the files, to `probabilities`, float32 (N, K, H, W), and `classes`,
uint8 (N, H, W); of a classifier (N, K) and (N,). Normalisation, padding, cropping and upsampling are included; batch,
height and width are dynamic if the net takes any size. data.eval_transforms of the recipe are not included, but listed.
Class names, colours, licence, score, protocol and recipe are in the metadata, without this machine's folders.
`parity.json` has the result of the check, and `README.md` is the model card.
Exit codes: 0 done, 1 the exported file differs from torch (nothing is written), 2 bad input.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightseg.checkpoint.hub import require_address
from lightseg.checkpoint.locate import model_file, run_folder, split_members
from lightseg.cli.argv import split_options
from lightseg.cli.entry import Arguments, verb
from lightseg.errors import ConfigError, require
from lightseg.files.atomic import require_in_place
from lightseg.files.printable import printable

if TYPE_CHECKING:
    from lightseg.exporting.options import ExportOptions, ExportResult


@verb(__doc__)
def main(args: list[str]) -> None:
    """Export a run."""
    parser = Arguments("export")
    parser.add_argument("run")
    parser.add_argument("--format", choices=["onnx", "torch_export", "safetensors"], default="onnx")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--benchmark", action="store_true")
    parser.add_argument("--soup", action="store_true")
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--sizes", type=_sizes, default=())
    parser.add_argument("--images", type=_count, default=20)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--licence")
    parser.add_argument("--push")
    arguments, data_options = split_options(args, "--data.")
    options = parser.parse_args(arguments)
    require(options.benchmark or not options.sizes, "--sizes says what to time: give --benchmark, too")
    require(options.tolerance >= 0, f"--tolerance {options.tolerance}: give 0 or more")
    folders = [run_folder(member) for member in split_members(options.run)]
    _check_members(folders, options)
    folder = folders[0]
    for member in folders:
        model_file(member)
    if options.push:
        require_address(options.push)

    from lightseg.exporting.export import export_model
    from lightseg.exporting.options import ExportOptions

    out = options.out or folder / "export"
    if options.out is None:
        require_in_place(out, "remove it, or give another place by --out DIR")
    settings = {name: value for name, value in vars(options).items() if name not in ("run", "out", "push", "soup")}
    export_options = ExportOptions(folder, out, **settings, data=data_options)
    if options.soup:
        _print(_export_soup(folders, export_options))
    else:
        _print(export_model(export_options))
    if options.push:
        from lightseg.exporting.push import upload

        print(f"pushed: {upload(out, options.push)}", flush=True)


def _check_members(folders: Sequence[Path], options: argparse.Namespace) -> None:
    """Check that there are several runs for `--soup`, and one without it.

    Raises:
        ConfigError: If not, or if a soup has no place.
    """
    if options.soup:
        require(len(folders) > 1, "--soup: averages several runs; join them by +, or give a pattern: 'runs/roads/*'")
        require(options.out is not None, "--soup: needs --out DIR, since the result is of no run folder")
    else:
        require(
            len(folders) == 1,
            f"RUN: an ensemble of {len(folders)} runs is no single graph; export each, or their mean weights (--soup)",
        )


def _export_soup(folders: "Sequence[Path]", options: "ExportOptions") -> "ExportResult":
    from lightseg.distributed.lightning_compat import silence_lightning
    from lightseg.evaluation.soup import cook
    from lightseg.exporting.export import export_model

    silence_lightning()
    soup = cook(folders, options.data, options.trust)
    print(
        printable(f"soup of {len(folders)} runs: {soup.score:.4f} on val, {soup.best_score:.4f} the best ({soup.best})")
    )
    return export_model(options, soup.task, soup.metadata)


def _sizes(text: str) -> list[tuple[int, int]]:
    matches = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", part.strip()) for part in text.split(",")]
    sizes = [(int(size[1]), int(size[2])) for size in matches if size]
    if len(sizes) != len(matches):
        raise ConfigError(f"--sizes {text}: give heights and widths, such as 256x256,512x512")
    return sizes


def _count(text: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"--images {text}: give a number of images, 0 or more")
    return int(text)


def _print(result: "ExportResult") -> None:
    from lightseg.exporting.benchmark import table
    from lightseg.exporting.options import describe_sizes

    print(f"{result.files[0].name}: any batch size; {describe_sizes(result.size or 'any', result.smallest)}")
    if result.before:
        print(f"not in the graph, do this to images first: {', '.join(result.before)}")
    print(f"checked on {result.source}: {result.parity}")
    if result.odd:
        print(f"checked on batches of an odd size: {result.odd}")
    if result.int8:
        print(f"int8, on {result.source}: {result.int8}")
    if result.timings:
        print(table(result.timings))
    print(*[printable(f"wrote: {file}") for file in result.files], sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
