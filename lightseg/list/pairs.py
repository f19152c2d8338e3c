"""Pairs of an encoder with a head of Segmenter or an architecture of SmpNet, and whether they build."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from lightseg.errors import ConfigError
from lightseg.list.cost import NUM_CLASSES, millions
from lightseg.list.encoders import list_encoders
from lightseg.list.rows import as_table, matching
from lightseg.nets import Segmenter, SmpNet
from lightseg.nets.heads import HEADS
from lightseg.nets.memory import without_memory

FAMILIES = (
    *("resnet18", "vgg11_bn", "densenet121", "efficientnet_b0", "mobilenetv3_small_100", "mobilenetv5_base"),
    *("convnextv2_atto", "efficientvit_b0", "mambaout_femto", "swinv2_tiny_window8_256", "maxvit_pico_rw_256"),
    *("hiera_tiny_224", "sam2_hiera_tiny", "vit_tiny_patch16_224", "vit_small_patch14_reg4_dinov2"),
    *("vit_small_patch16_dinov3", "vit_base_patch16_siglip_224", "eva02_tiny_patch14_224"),
)
"""Small encoder of each family."""


def list_pairs(pattern: str) -> list[dict[str, Any]]:
    """Return for each encoder the heads and architectures that build and run on it, without memory for weights.

    Args:
        pattern: See `matching`; empty for `FAMILIES`.

    Returns:
        For each encoder: `name`; `image`, the divisor of the image's sides, or its only size; millions of parameters
        with each head of `HEADS`, None if it does not build; `SmpNet`, the architectures that build; and for the heads
        of `Segmenter` and the architectures of `SmpNet` that do not, the `reasons`.
    """
    rows = list_encoders()
    if pattern:
        rows = matching(rows, pattern, "pairs")
    else:
        rows = [row for row in rows if row["library"] == "timm" and row["name"] in FAMILIES]
    return [_pair(row["name"], is_timm=row["library"] == "timm") for row in rows]


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return the result of `list_pairs` as a table, and below it the reasons."""
    table = [{**row, "SmpNet": _list_architectures(row), "reasons": None} for row in rows]
    lines = [as_table(table)]
    for row in rows:
        names = defaultdict[tuple[str, str], list[str]](list)
        for net, messages in row["reasons"].items():
            for name, message in messages.items():
                names[net, message.rpartition(": ")[2]].append(name)
        lines += [f"{row['name']} × {net} {', '.join(listed)}: {reason}" for (net, reason), listed in names.items()]
    return "\n".join(lines)


def _list_architectures(row: dict[str, Any]) -> str:
    """Return the architectures of SMP that build, by those that do not if they are fewer."""
    reasons = row["reasons"]["SmpNet"]
    if len(reasons) < len(row["SmpNet"]):
        return f"all but {', '.join(reasons)}" if reasons else "all"
    return ", ".join(row["SmpNet"]) or "none"


def _pair(name: str, is_timm: bool) -> dict[str, Any]:
    """Return the row of an encoder."""
    import segmentation_models_pytorch as smp

    reasons: dict[str, dict[str, str]] = {"Segmenter": {}, "SmpNet": {}}
    nets = {head: _try(reasons["Segmenter"], head, Segmenter, encoder=name, head=head) for head in HEADS}
    image = next((_image(net) for net in nets.values() if net is not None), None)
    encoder = f"tu-{name}" if is_timm else name
    archs = [
        arch
        for arch in smp.MODEL_ARCHITECTURES_MAPPING
        if _try(reasons["SmpNet"], arch, SmpNet, encoder=encoder, arch=arch) is not None
    ]
    sizes = {head: None if net is None else millions(net) for head, net in nets.items()}
    return {"name": name, "image": image, **sizes, "SmpNet": archs, "reasons": reasons}


def _try(reasons: dict[str, str], key: str, net_class: Callable[..., nn.Module], **options: str) -> nn.Module | None:
    """Build a net; return None and note the reason if it cannot be built."""
    try:
        with without_memory():
            return net_class(NUM_CLASSES, **options)
    except ConfigError as error:
        reasons[key] = str(error)
        return None


def _image(net: Any) -> str:
    """Return the divisor of the image's sides, or the only size."""
    return f"/{net.stride}" if net.size is None else "×".join(map(str, net.size))
