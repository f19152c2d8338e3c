"""Parameters and operations of encoders, heads and nets, without memory for their weights."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import torch
from timm import is_model, list_models
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import lightseg.nets
from lightseg.errors import ConfigError, did_you_mean
from lightseg.files.disk_cache import cached
from lightseg.files.printable import printable_line
from lightseg.files.source_digest import source_digest
from lightseg.nets.heads import build_head
from lightseg.nets.memory import without_memory
from lightseg.nets.timm_encoder import reference
from lightseg.nets.timm_features import choose_levels

NUM_CLASSES = 21
"""Number of classes of heads and nets, as Pascal VOC has."""

_SOURCES = ("list/cost.py", "nets/memory.py", "nets/timm_encoder.py")
"""Modules whose source may affect the cost of an encoder."""

_SIDES = (224, 256, 32)
"""Sides of the image, of which the first counts that the net takes."""


def with_cost(kind: str, rows: Sequence[dict[str, Any]], encoder: str) -> list[dict[str, Any]]:
    """Return rows with the millions of parameters, the GFLOPs and the side of the image that they are for.

    Args:
        kind: `encoders`, `heads` or `nets`.
        rows: The rows.
        encoder: Encoder of the heads.
    """
    if kind == "heads":
        return [{**row, **_cost_of_head(row["name"], encoder)} for row in rows]
    if kind == "nets":
        return [{**row, **_cost_of_net(row["name"])} for row in rows]
    return [{**row, **_cost_of_encoder(row)} for row in rows]


def _cost_of_encoder(row: dict[str, Any]) -> dict[str, Any]:
    """Return strides and cost of an encoder, from the cache if it was measured before."""
    name, library = row["name"], row["library"]
    module, measure = _LIBRARIES[library]
    code = source_digest(*_SOURCES)[:16]
    cost: dict[str, Any] = cached(
        f"encoders/{module}-{version(module)}-{code}-{name}", lambda: measure(name, row["image"])
    )
    return cost


def _measure_timm(name: str, side: int | None) -> dict[str, Any]:
    model = reference(name, num_classes=0)
    strides = sorted({int(entry["reduction"]) for entry in getattr(model, "feature_info", None) or []})
    return {"strides": strides, **_measure(model, model, (side or _SIDES[0], *_SIDES))}


def _measure_smp(name: str, side: int | None) -> dict[str, Any]:
    import segmentation_models_pytorch as smp

    with without_memory(), warnings.catch_warnings():
        # SMP's advice to take timm's encoder instead of its copy
        warnings.simplefilter("ignore", DeprecationWarning)
        model = smp.encoders.get_encoder(name, weights=None)
    strides = [2**level for level in range(1, int(model.output_stride).bit_length())]
    return {"strides": strides, **_measure(model, model, (side or _SIDES[0],))}


_LIBRARIES: dict[str, tuple[str, Callable[[str, int | None], dict[str, Any]]]] = {
    "timm": ("timm", _measure_timm),
    "smp": ("segmentation-models-pytorch", _measure_smp),
}
"""Distribution and measurement of the encoders of each library."""


def _cost_of_head(name: str, encoder: str) -> dict[str, Any]:
    """Return the cost of a head alone, on an encoder."""
    if not is_model(encoder):
        shown_name = printable_line(encoder)[:80]
        raise ConfigError(f"--encoder: timm has no encoder '{shown_name}'{did_you_mean(encoder, list_models())}")
    levels = choose_levels(reference(encoder, num_classes=0), encoder)[1]
    with without_memory():
        head = build_head(name, NUM_CLASSES, levels, None)

    def run(image: Tensor) -> None:
        sides = [image.shape[-1] // stride for stride in levels.strides]
        head([torch.empty(1, c, side, side, device="meta") for c, side in zip(levels.channels, sides, strict=True)])

    return {"encoder": encoder, **_measure(head, run, _SIDES)}


def _cost_of_net(name: str) -> dict[str, Any]:
    """Return the cost of a net with its default options."""
    with without_memory():
        net = getattr(lightseg.nets, name)(num_classes=NUM_CLASSES)
    return _measure(net, net, _SIDES)


def millions(module: nn.Module) -> float:
    """Return the millions of parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@torch.no_grad()
def _measure(module: nn.Module, run: Callable[[Tensor], Any], sides: Sequence[int]) -> dict[str, Any]:
    """Return millions of parameters, GFLOPs, and the side of the first image that is taken.

    Args:
        module: The module with the parameters; in eval mode afterwards.
        run: Computes its output of an image.
        sides: Sides to try.
    """
    module.eval().to("meta")
    cost = {"M": millions(module), "GFLOPs": None, "at": None}
    for side in sides:
        # modules refuse a size by various exceptions
        with contextlib.suppress(Exception), FlopCounterMode(display=False) as counter:
            run(torch.empty(1, 3, side, side, device="meta"))
            return {**cost, "GFLOPs": counter.get_total_flops() / 1e9, "at": side}
    return cost
