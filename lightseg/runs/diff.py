"""Effective differences of two runs, and what they can affect: metrics, speed, or neither."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from lightseg.files.limited import read_limited, require_inside
from lightseg.files.printable import join_names, printable
from lightseg.hardware.precision_names import canonical_precision
from lightseg.runs.fingerprint import differ, parse
from lightseg.runs.origin import name_origin
from lightseg.runs.records import read_record

Effect = Literal["affects metric", "affects digits", "affects speed", "cosmetic"]
Area = Literal["recipe", "code", "data", "environment", "hardware"]
Changes = dict[str, tuple[Any, Any]]
"""Old and new value by dotted key."""

LOCATION = ("base", "config", "resume", "runs_dir")
"""Options of the location of a run."""

DATA_LOCATION = ("data.download", "data.root", "data.table")
"""Options of the location of the data, whose content has a fingerprint."""

_DISTRIBUTION = tuple(f"trainer.{name}" for name in ("devices", "num_nodes", "strategy", "sync_batchnorm"))
"""Options that affect metrics only through `count_unsynced_processes`."""

_COSMETIC = (
    *("name", "group", *DATA_LOCATION),
    *(f"trainer.{name}" for name in ("default_root_dir", "enable_autolog_hparams", "enable_checkpointing")),
    *(f"trainer.{name}" for name in ("enable_model_summary", "enable_progress_bar", "log_every_n_steps", "logger")),
    *(f"trainer.{name}" for name in ("model_registry", "profiler")),
)
_SPEED = (
    *("data.cache_gb", "data.num_workers", "model.channels_last", "model.compile"),
    *("save_every_minutes", "save_every_n_steps"),
    *(f"model.optimizer.{name}" for name in ("capturable", "foreach", "fused")),
    *(f"trainer.{name}" for name in ("accelerator", "barebones", "benchmark", "detect_anomaly", "deterministic")),
    *(f"trainer.{name}" for name in ("inference_mode", "num_sanity_val_steps")),
    *_DISTRIBUTION,
)
"""Options, with all options below them; an option in neither list may affect a metric."""

_SPEED_ENVIRONMENT = ("python", "platform")
"""Records of interpreter and system, which do not compute; packages that do are compared one by one."""

_HARDWARE = ("gpus", "processor", "cpu_count", "usable_cores")

KERNELS = ("torch_threads", "cpu_capability", "onednn_max_cpu_isa")
"""Threads and kernels of torch, in `env.json` and `resumes.jsonl`: a CPU adds up in another order with others."""

_HEADER, _DIFF_BYTES = "diff --git a/", 2**26
"""Start of the changes of a file in `git.diff`, and the limit of the size of `git.diff` in bytes."""


class Difference(NamedTuple):
    """Difference of two runs.

    Attributes:
        effect: Results that it can change.
        area: Part of the run that differs.
        text: Old and new value.
    """

    effect: Effect
    area: Area
    text: str


def diff_runs(old: Path, new: Path) -> tuple[list[Difference], list[str]]:
    """Return the effective differences of two runs, finished or not.

    Args:
        old: Run folder.
        new: Run folder.

    Returns:
        The differences, those that affect metrics first; and messages on what could not be compared, because one of
        the runs has no record of it.

    Raises:
        UserError: If a file of one of them is damaged.
    """
    configs = [
        name_origin(read_record(folder / "config.yaml"), _record(folder / "model.json") or {}) for folder in (old, new)
    ]
    environments = [_record(folder / "env.json") or {} for folder in (old, new)]
    is_equal = len(set(map(count_unsynced_processes, configs, environments))) == 1
    diff_environments = partial(_diff_environments, on_cpu=any(map(trains_on_cpu, configs, environments)))
    results, notes = list(_diff_recipes(*configs, is_distribution_equal=is_equal)), []
    for name, compare in (("git.json", _diff_code), ("data.json", _diff_data), ("env.json", diff_environments)):
        a, b = (_record(folder / name) for folder in (old, new))
        if a is None or b is None:
            notes.append(f"{(old if a is None else new) / name} is missing: not compared")
        elif name == "git.json" and a.get("commit") is b.get("commit") is None:
            notes.append(f"the code of {old} and {new} is not under git: not compared")
        else:
            results += compare(a, b)
            notes += _describe_missing_labels(old, new, a, b) if name == "data.json" else []
    return sorted(results, key=lambda difference: get_args(Effect).index(difference.effect)), notes


def describe_code_changes(folders: Sequence[Path]) -> str:
    """Return the differences in code and packages of the first run to the others: `torch: 2.8.0 -> 2.9.0`."""
    texts: set[str] = set()
    for name, compare in (("git.json", _diff_code), ("env.json", _diff_environments)):
        first, *others = (_record(folder / name) for folder in folders)
        for record in others:
            results = compare(first, record) if first and record else ()
            texts |= {difference.text for difference in results if difference.effect == "affects metric"}
    return join_names(sorted(texts), 5)


def count_unsynced_processes(config: Mapping[str, Any], environment: Mapping[str, Any]) -> int:
    """Return the number of processes that normalize their part of a batch separately, which affects BatchNorm.

    Args:
        config: Resolved config of the run.
        environment: `env.json` of the run.

    Returns:
        At least 1; 1 if BatchNorm is synchronized.
    """
    trainer = config.get("trainer") or {}
    return 1 if trainer.get("sync_batchnorm") else count_processes(config, environment)


def count_processes(config: Mapping[str, Any], environment: Mapping[str, Any]) -> int:
    """Return the number of processes of a training on all its nodes, at least 1.

    Args:
        config: Resolved config of the run.
        environment: `env.json` of the run.
    """
    trainer, gpus = config.get("trainer") or {}, environment.get("gpus") or []
    devices = trainer.get("devices", "auto")
    text = "".join(f"{device}," for device in devices) if isinstance(devices, list) else str(devices)
    if "," in text:
        count = len([device for device in text.split(",") if device.strip()])
    elif text.isdecimal():
        count = int(text)
    else:
        count = len(gpus) if trainer.get("accelerator", "auto") in ("auto", "cuda", "gpu") else 1
    return max(1, count) * (trainer.get("num_nodes") or 1)


def trains_on_cpu(config: Mapping[str, Any], environment: Mapping[str, Any]) -> bool:
    """Return whether a run trains on the CPU.

    Args:
        config: Resolved config of the run.
        environment: `env.json` of the run.
    """
    return not environment.get("gpus") or (config.get("trainer") or {}).get("accelerator") == "cpu"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Return the values that differ between two nested mappings, by their key on the command line.

    A different class (`class_path`) is one difference, beside those of the options that both classes have. Absent
    values are null, and 1 equals 1.0.
    """
    return dict(_changes(old, new, ""))


def _changes(old: Any, new: Any, key: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if is_class(old) and is_class(new):
        a, b = _options(old), _options(new)
        if old["class_path"] == new["class_path"]:
            yield from _below(a, b, key)
        else:
            yield key, ({"class_path": old["class_path"]}, {"class_path": new["class_path"]})
            yield from _below({n: a[n] for n in a if n in b}, {n: b[n] for n in b if n in a}, key)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _below(old, new, key)
    elif _class_paths(old) == _class_paths(new) is not None:
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _changes(*pair, f"{key}.{index}")
    elif (pair := (meaning(key, old), meaning(key, new)))[0] != pair[1] and not _are_nan(*pair):
        yield key, pair


def _are_nan(*values: object) -> bool:
    """Return whether all values are NaN, which differs from itself and may be a nodata value."""
    return all(isinstance(value, float) and math.isnan(value) for value in values)


def meaning(key: str, value: Any) -> Any:
    """Return the value of an option in its canonical form: runs of older versions state a precision by an alias."""
    return canonical_precision(value) if key == "trainer.precision" else value


def _below(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in dict.fromkeys([*old, *new]):
        yield from _changes(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))


def is_class(value: Any) -> bool:
    """Return whether a value of a config is a class with its options."""
    if not isinstance(value, Mapping) or not isinstance(value.get("class_path"), str):
        return False
    return all(isinstance(value.get(name), Mapping | None) for name in ("init_args", "dict_kwargs"))


def _options(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**(value.get("init_args") or {}), **(value.get("dict_kwargs") or {})}


def _class_paths(value: Any) -> list[str] | None:
    """Return the class paths of a list of classes, such as transforms and callbacks; None of another value."""
    return [item["class_path"] for item in value] if isinstance(value, list) and all(map(is_class, value)) else None


def _diff_recipes(
    old: Mapping[str, Any], new: Mapping[str, Any], *, is_distribution_equal: bool
) -> Iterator[Difference]:
    for key, (a, b) in differences(old, new).items():
        effect = "affects metric" if within(key, _DISTRIBUTION) and not is_distribution_equal else effect_of(key)
        if effect:
            yield Difference(effect, "recipe", f"{key}: {format_change(a, b)}")


def effect_of(key: str) -> Effect | None:
    """Return the effect of a different value of an option; None for an option of the location of the run."""
    if within(key, LOCATION):
        return None
    if within(key, _COSMETIC):
        return "cosmetic"
    return "affects speed" if within(key, _SPEED) else "affects metric"


def within(key: str, options: Sequence[str]) -> bool:
    """Return whether an option is one of these, or below one of these."""
    return any(key == option or key.startswith(f"{option}.") for option in options)


def _diff_code(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare the commits and the uncommitted Python files; recipes and data are compared by their content."""
    if old.get("commit") != new.get("commit"):
        a, b = ((state.get("commit") or "none")[:10] for state in (old, new))
        yield Difference("affects metric", "code", f"commit: {a} -> {b}")
    if changes := differences(old["changed"], new["changed"]):
        yield Difference("affects metric", "code", f"uncommitted changes: {join_names(sorted(changes), 5)}")
    untracked = set(old.get("untracked") or ()) ^ set(new.get("untracked") or ())
    if files := [file for file in untracked if file.endswith(".py")]:
        yield Difference("affects metric", "code", f"untracked, in one of them only: {join_names(sorted(files), 5)}")


def _diff_data(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for split in dict.fromkeys([*old, *new]):
        a, b = (record.get(split) or {"samples": 0} for record in (old, new))
        if a["samples"] != b["samples"]:
            yield Difference("affects metric", "data", f"{split}: {a['samples']} -> {b['samples']} samples")
        elif differ(a.get("sha256"), b.get("sha256")):
            yield Difference("affects metric", "data", f"{split}: other content ({a['samples']} samples)")


def _describe_missing_labels(old: Path, new: Path, *records: Mapping[str, Any]) -> list[str]:
    """Return a message if only one of the runs has recorded its labels, the other being of an older version."""
    has_labels = [any(parse(split.get("sha256")).labels for split in record.values()) for record in records]
    if all(has_labels) or not any(has_labels):
        return []
    folder = old if has_labels[1] else new
    return [f"{folder / 'data.json'} is of an older version: labels not compared"]


def _diff_environments(old: Mapping[str, Any], new: Mapping[str, Any], *, on_cpu: bool = True) -> Iterator[Difference]:
    for package, (a, b) in differences(old.get("packages") or {}, new.get("packages") or {}).items():
        area: Area = "code" if package == "lightseg" else "environment"
        yield Difference(
            "cosmetic" if package == "wandb" else "affects metric", area, f"{package}: {format_change(a, b)}"
        )
    for name in ("cuda", *_SPEED_ENVIRONMENT, *_HARDWARE):
        a, b = old.get(name), new.get(name)
        if a != b:
            effect: Effect = "affects metric" if name == "cuda" else "affects speed"
            yield Difference(
                effect, "hardware" if name in _HARDWARE else "environment", f"{name}: {format_change(a, b)}"
            )
    for name, (a, b) in kernel_changes(old, new).items():
        yield Difference("affects digits" if on_cpu else "affects speed", "hardware", f"{name}: {format_change(a, b)}")


def kernel_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Return the differences in threads and kernels of two records; those that one of them lacks are unknown."""
    names = [name for name in KERNELS if name in old and name in new]
    return {name: (old[name], new[name]) for name in names if old[name] != new[name]}


def format_change(old: Any, new: Any) -> str:
    """Return `old -> new` in one line; classes are named without their modules, unless the names are equal."""
    a, b = format_value(old), format_value(new)
    if a == b:
        a, b = format_value(old, full_path=True), format_value(new, full_path=True)
    return f"{a} -> {b}"


def format_value(value: Any, full_path: bool = False) -> str:
    """Return a value as in YAML, and a class as a call.

    Args:
        value: Value of a config.
        full_path: Name classes with their modules.
    """
    if is_class(value):
        name = value["class_path"] if full_path else value["class_path"].rpartition(".")[2]
        options = [f"{key}={format_value(option, full_path)}" for key, option in _options(value).items()]
        return f"{name}({', '.join(options)})" if options else name
    if isinstance(value, list):
        return f"[{', '.join(format_value(item, full_path) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {format_value(item, full_path)}' for key, item in value.items())}}}"
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value, default=str)


def _record(path: Path) -> dict[str, Any] | None:
    """Return a record of a run, None if it is missing; `git.json` includes the uncommitted changes as `changed`."""
    if not path.is_file():
        return None
    record = read_record(path)
    if path.name == "git.json":
        diff = path.with_name("git.diff")
        require_inside(diff)
        # git.json alone does not tell two states of uncommitted changes apart
        record["changed"] = _split_by_file(
            printable(read_limited(diff, _DIFF_BYTES, "replace")) if diff.exists() else ""
        )
    return record


def _split_by_file(diff: str) -> dict[str, str]:
    """Return the changes of each Python file in the output of `git diff`."""
    changes: dict[str, list[str]] = {}
    name = ""
    for line in diff.split("\n"):
        if line.startswith(_HEADER):
            name = line.removeprefix(_HEADER).rpartition(" b/")[0]
            changes[name] = []
        elif name:
            changes[name].append(line)
    return {file: "\n".join(lines) for file, lines in changes.items() if file.endswith(".py")}
