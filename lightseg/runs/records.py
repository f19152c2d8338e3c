"""Records of a run folder, read from an untrusted source: of bounded size, and validated."""

import json
from pathlib import Path
from typing import Any

import yaml

from lightseg.config.compose import require_bounded
from lightseg.config.plain_data import plain
from lightseg.config.run_schema import RECORDS
from lightseg.config.schema import require_form
from lightseg.errors import UserError
from lightseg.files.atomic import require_regular
from lightseg.files.limited import read_limited, require_inside
from lightseg.files.names import METRICS
from lightseg.hardware.precision_names import canonical_precision

_BYTES, _YAML_BYTES = 2**26, 2**20
"""Limits of the size of a record in bytes."""


def is_finished(folder: Path) -> bool:
    """Return whether a run has its final metrics, which are written last.

    Raises:
        UserError: If their file is not a regular file.
    """
    require_regular(folder / METRICS)
    return (folder / METRICS).exists()


def read_record(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML or JSON file of a run, validate it, and make its texts printable.

    Raises:
        UserError: If the file is missing or unreadable, holds no mapping, or its values have wrong types.
    """
    content = read_mapping(path)
    require_record(path, content)
    return content


def require_record(path: Path, content: dict[str, Any]) -> None:
    """Check that the content of a file has the form of the record of this name.

    Args:
        path: File.
        content: Result of `read_mapping`.

    Raises:
        UserError: If its values have wrong types.
    """
    if path.name in RECORDS:
        require_form(RECORDS[path.name], content, path)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML or JSON file of a run without validation; its texts are made printable.

    Raises:
        UserError: If the file is missing or unreadable, or holds no mapping.
    """
    require_inside(path)
    try:
        text = read_limited(path, _YAML_BYTES if path.suffix == ".yaml" else _BYTES)
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
    except (
        *(OSError, ValueError, RecursionError, MemoryError, yaml.YAMLError),
        # raised by the constructors of YAML for a value that is not of its tag
        *(AttributeError, LookupError, TypeError),
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: is damaged ({reason}); bring it back, or leave this run out") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: is damaged (it holds no mapping); bring it back, or leave this run out")
    mapping: dict[str, Any] = plain(content, path)
    return mapping


def read_precision(folder: Path) -> str:
    """Return the precision of a run, by its canonical name in Lightning."""
    config = read_record(folder / "config.yaml")
    return canonical_precision((config.get("trainer") or {}).get("precision"))
