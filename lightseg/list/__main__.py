"""List what a recipe can name, and what it costs.

usage: python -m lightseg.list KIND [PATTERN] [--pretrained] [--measure] [--encoder NAME] [--names] [--json]
       python -m lightseg.list pairs [PATTERN] [--json]
       python -m lightseg.list completion bash

  KIND            encoders    of timm and SMP, with their image size and the names of their weights
                  heads       of Segmenter, with their papers
                  nets, losses, datasets, transforms, schedules
                  pairs       which head of Segmenter and which architecture of SmpNet builds on which encoder,
                              and the parameters in millions; without PATTERN on an encoder of each family
  PATTERN         a part of the name, or a pattern: 'vit_*dinov2*'
  --pretrained    encoders: only those with weights
  --measure       encoders, heads, nets: parameters, strides and GFLOPs of one image, without allocating weights
  --encoder NAME  heads: the encoder to measure them on (resnet18)
  --names         names alone, one a line
  --json          a list of objects
  completion      print a script that completes `lightseg` in bash: source <(lightseg list completion bash)

Example:
  python -m lightseg.list encoders dinov3 --measure

A multiplication and an addition are two operations. The table of the encoders is stored in the user's cache folder, so
that timm is imported by the first call alone.
Exit codes: 0 done, 2 bad input.
"""

import json
import sys
from argparse import Namespace
from typing import Any

from lightseg.cli.entry import Arguments, verb
from lightseg.errors import UserError
from lightseg.list.classes import CLASSES, list_classes
from lightseg.list.rows import as_table, matching

_MEASURED = ("encoders", "heads", "nets")


@verb(__doc__)
def main(args: list[str]) -> None:
    """List what a recipe can name."""
    parser = Arguments("list")
    parser.add_argument("kind", choices=["encoders", *CLASSES, "pairs", "completion"])
    parser.add_argument("pattern", nargs="?", default="")
    for option in ("--pretrained", "--measure", "--names", "--json"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--encoder")
    # an optional argument may stand behind the options, too
    options = parser.parse_intermixed_args(args)
    _check(options)
    if options.kind == "completion":
        from lightseg.list.completion import bash_script

        print(bash_script(options.pattern), end="")
        return
    rows = _rows(options)
    if options.json:
        print(json.dumps(rows, indent=1))
    elif options.names:
        print(*dict.fromkeys(row["name"] for row in rows), sep="\n")
    elif options.kind == "pairs":
        from lightseg.list.pairs import as_text

        print(as_text(rows))
    else:
        print(as_table(rows))


def _check(options: Namespace) -> None:
    """Check that no option is without effect."""
    kinds = {"pretrained": ("encoders",), "measure": _MEASURED, "encoder": ("heads",)}
    for name, valid in kinds.items():
        if getattr(options, name) and options.kind not in valid:
            raise UserError(f"--{name}: is for {', '.join(valid)}, not for {options.kind}; leave it out")
    if options.encoder and not options.measure:
        raise UserError("--encoder: needs --measure")
    if options.json and options.names:
        raise UserError("--names, --json: give one of them")


def _rows(options: Namespace) -> list[dict[str, Any]]:
    """Return the rows of a kind that match the pattern."""
    if options.kind == "pairs":
        from lightseg.list.pairs import list_pairs

        return list_pairs(options.pattern)
    if options.kind == "encoders":
        from lightseg.list.encoders import list_encoders

        rows = list_encoders(options.pretrained)
    else:
        rows = list_classes(options.kind)
    rows = matching(rows, options.pattern, options.kind)
    if options.measure:
        from lightseg.list.cost import with_cost

        rows = with_cost(options.kind, rows, options.encoder or "resnet18")
    return rows


if __name__ == "__main__":
    sys.exit(main())
