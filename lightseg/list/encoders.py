"""Encoders of timm and SMP, and whether there are weights for them."""

from collections import defaultdict
from importlib.metadata import version
from typing import Any

from lightseg.files.disk_cache import cached
from lightseg.files.source_digest import source_digest


def list_encoders(pretrained: bool = False) -> list[dict[str, Any]]:
    """Return all encoders, those of timm first.

    The libraries are imported at the first call for their versions, and the table is cached.

    Args:
        pretrained: Whether to leave out encoders without weights.

    Returns:
        Name, library, image size in pixels (None where it is not recorded) and names of the weights of each.
    """
    names = "-".join(f"{library}-{version(library)}" for library in ("timm", "segmentation-models-pytorch"))
    rows: list[dict[str, Any]] = cached(f"encoders-{names}-{source_digest('list/encoders.py')[:16]}", _read_registries)
    return [row for row in rows if row["weights"]] if pretrained else rows


def _read_registries() -> list[dict[str, Any]]:
    """Return the encoders of the installed libraries."""
    import segmentation_models_pytorch as smp
    import timm

    tags = defaultdict[str, list[str]](list)
    for tagged in timm.list_pretrained():
        name, _, tag = tagged.partition(".")
        tags[name].append(tag)
    rows = []
    for name in timm.list_models():
        config: Any = timm.models.get_pretrained_cfg(name)
        side = config.input_size[-1] if config else None
        rows.append({"name": name, "library": "timm", "image": side, "weights": tags[name]})
    for name, entry in smp.encoders.encoders.items():
        rows.append({"name": name, "library": "smp", "image": None, "weights": list(entry["pretrained_settings"])})
    return rows
