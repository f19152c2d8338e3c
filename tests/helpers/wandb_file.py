"""Reader of `.wandb` files: protobuf records in the framing of a LevelDB log, for which wandb ships no reader."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _HEADER = 32768, 7
_FULL, _FIRST, _LAST = 1, 2, 4


@dataclass
class LocalRun:
    """Content of a `.wandb` file; `exit_code` is None if the run has not ended."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def steps(self) -> list[int]:
        return [row["_step"] for row in self.history]


def read_run(path: Path) -> LocalRun:
    """Read a `.wandb` file."""
    run = LocalRun()
    for raw in records(path.read_bytes()):
        record = Record()
        record.ParseFromString(raw)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            header = record.run
            run.id, run.name, run.project, run.group, run.job_type = (
                header.run_id,
                header.display_name,
                header.project,
                header.run_group,
                header.job_type,
            )
            _apply(run.config, header.config)
        elif kind in ("config", "summary"):
            _apply(getattr(run, kind), getattr(record, kind))
        elif kind == "history":
            run.history.append(_nested(record.history.item))
        elif kind == "artifact":
            run.artifacts.append(record.artifact.name)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    run.config.pop("_wandb", None)
    return run


def records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file, up to one that a kill truncated."""
    if content and struct.unpack("<4sH", content[:6]) != (b":W&B", 0xBEE1):
        raise ValueError("not a .wandb file")
    position, parts = _HEADER, []
    while position + _HEADER <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        checksum, size, kind = struct.unpack("<IHB", content[position : position + _HEADER])
        data = content[position + _HEADER : position + _HEADER + size]
        if kind == 0 or len(data) < size or zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
            return
        position += _HEADER + size
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(data)
        if kind in (_FULL, _LAST):
            yield b"".join(parts)


def _key(item: Any) -> list[str]:
    return list(item.nested_key) or [item.key]


def _nested(items: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items:
        _put(values, _key(item), json.loads(item.value_json))
    return values


def _put(into: dict[str, Any], key: list[str], value: Any) -> None:
    for part in key[:-1]:
        if not isinstance(into.get(part), dict):
            into[part] = {}
        into = into[part]
    into[key[-1]] = value


def _apply(into: dict[str, Any], record: Any) -> None:
    # a metric may turn from a number into {max: ...}, so removals come first
    for item in record.remove:
        inner, key = into, _key(item)
        for part in key[:-1]:
            inner = inner.get(part, {})
        inner.pop(key[-1], None)
    for item in record.update:
        _put(into, _key(item), json.loads(item.value_json) if item.value_json else None)
