"""Records of a run folder, which may come from anyone: read, bounded, and of the form that later readers expect."""

import json
from pathlib import Path
from typing import Any

import yaml

from lightseg.config.compose import require_bounded
from lightseg.config.schema import RECORDS, plain, require_form
from lightseg.errors import UserError
from lightseg.files.atomic import require_regular

_BYTES, _YAML_BYTES = 2**26, 2**20
"""No record is longer, and what is cannot be one."""


def read_record(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML or JSON file of a run, with texts that can be printed.

    Raises:
        UserError: If it is missing, cannot be read, holds something else, or its values are of other types.
    """
    content = read_mapping(path)
    require_record(path, content)
    return content


def require_record(path: Path, content: dict[str, Any]) -> None:
    """See that what `read_mapping` has read is of the form of the record that has this name.

    Raises:
        UserError: If its values are of other types.
    """
    if path.name in RECORDS:
        require_form(RECORDS[path.name], content, path)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the same, whatever is in the mapping.

    Raises:
        UserError: If it is missing, cannot be read, or holds something else.
    """
    require_regular(path)
    try:
        most = _YAML_BYTES if path.suffix == ".yaml" else _BYTES
        if path.stat().st_size > most:
            raise ValueError(f"it is longer than {most} bytes")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".yaml":
            require_bounded(text, str(path))
            content = yaml.safe_load(text)
        else:
            content = json.loads(text)
    except FileNotFoundError:
        raise UserError(
            f"{path}: is missing: the run was made by an older version of lightseg, or is damaged; "
            "train it again, or leave it out"
        ) from None
    except (OSError, ValueError, RecursionError, MemoryError, yaml.YAMLError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: is damaged ({reason}); bring it back, or leave this run out") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: is damaged (it holds no mapping); bring it back, or leave this run out")
    copied: dict[str, Any] = plain(content, path)
    return copied


def read_precision(folder: Path) -> str:
    """Return the precision that a run was begun with, Lightning's name of it."""
    config = read_record(folder / "config.yaml")
    return str((config.get("trainer") or {}).get("precision") or "32-true")
