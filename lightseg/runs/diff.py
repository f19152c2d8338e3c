"""Differences between two runs, and their effect: on the numbers, on the speed, or none."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from lightseg.errors import UserError
from lightseg.files.printable import printable
from lightseg.runs.fingerprint import differ, parse
from lightseg.runs.records import read_record

Effect = Literal["affects metric", "affects speed", "cosmetic"]
Area = Literal["recipe", "code", "data", "environment", "hardware"]
Changes = dict[str, tuple[Any, Any]]

NULL_MEANS = {"trainer.precision": "32-true"}
"""What null stands for, by key: runs of older versions state no precision."""

_UNSHOWN = ("base", "config", "resume", "runs_dir")
"""Options that say where a run is, not what it is."""

_SHARING = tuple(f"trainer.{name}" for name in ("devices", "num_nodes", "strategy", "sync_batchnorm"))
"""Options that affect metrics by nothing but `apart`."""

_COSMETIC = (
    *("name", "group", "data.download", "data.root"),
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
    *_SHARING,
)
"""Options, with all that is below them; whatever stands in neither list may change a metric."""

_SPEED_ENVIRONMENT = ("python", "platform")
"""The interpreter and the system compute no number: the packages that do are listed one by one."""

_HARDWARE = ("gpus", "processor", "cpu_count", "usable_cores", "torch_threads")

_HEADER, _DIFF_BYTES = "diff --git a/", 2**26
"""The first line of the changes of a file, and the most bytes of the changes of a run."""

_LISTED = 5
"""Changed files and the like that a line names before it says how many more there are."""


class Difference(NamedTuple):
    """Difference between two runs.

    Attributes:
        effect: What it can change.
        area: Where it lies.
        text: What it was and what it is.
    """

    effect: Effect
    area: Area
    text: str


def between(old: Path, new: Path) -> tuple[list[Difference], list[str]]:
    """Return the effective differences of two runs, finished or not.

    Args:
        old: A run folder.
        new: Another one.

    Returns:
        The differences, those that affect metrics first; what could not be compared, because one of the runs has no
        record of it.

    Raises:
        UserError: If a file of either is damaged.
    """
    configs = [read_record(folder / "config.yaml") for folder in (old, new)]
    environments = [_record(folder / "env.json") or {} for folder in (old, new)]
    shared = len(set(map(apart, configs, environments))) == 1
    found, missing = list(_recipe(*configs, shared_alike=shared)), []
    for name, compare in (("git.json", _code), ("data.json", _data), ("env.json", _environment)):
        a, b = (_record(folder / name) for folder in (old, new))
        if a is None or b is None:
            missing.append(f"{(old if a is None else new) / name} is missing: not compared")
        elif name == "git.json" and a.get("commit") is b.get("commit") is None:
            missing.append(f"the code of {old} and {new} is not under git: not compared")
        else:
            found += compare(a, b)
            missing += _unknown_labels(old, new, a, b) if name == "data.json" else []
    return sorted(found, key=lambda each: get_args(Effect).index(each.effect)), missing


def unlike(folders: Sequence[Path]) -> str:
    """Return the differences of code and packages between the first run and each other: `torch: 2.8.0 -> 2.9.0`."""
    found = []
    for name, compare in (("git.json", _code), ("env.json", _environment)):
        first, *others = (_record(folder / name) for folder in folders)
        for run in others:
            differ = compare(first, run) if first and run else ()
            found += [each.text for each in differ if each.effect == "affects metric"]
    return _listed(set(found))


def apart(config: Mapping[str, Any], environment: Mapping[str, Any]) -> int:
    """Processes of a run that each normalise their own share of a batch: a net with BatchNorm learns otherwise there.

    Args:
        config: Its resolved config.
        environment: Its `env.json`.

    Returns:
        1 for a single process, and where BatchNorm is synchronised.
    """
    trainer, gpus = config.get("trainer") or {}, environment.get("gpus") or []
    if trainer.get("sync_batchnorm"):
        return 1
    devices = trainer.get("devices", "auto")
    text = "".join(f"{each}," for each in devices) if isinstance(devices, list) else str(devices)
    if "," in text:
        count = len([each for each in text.split(",") if each.strip()])
    elif text.isdecimal():
        count = int(text)
    else:
        count = len(gpus) if trainer.get("accelerator", "auto") in ("auto", "cuda", "gpu") else 1
    return max(1, count) * (trainer.get("num_nodes") or 1)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Return the values that differ between two nested mappings, by the key that the command line has for them.

    Another class (`class_path`) is one difference, beside those of the options that both classes have. What is absent
    is null, and 1 is 1.0.
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
    elif (pair := (_value(key, old), _value(key, new)))[0] != pair[1]:
        yield key, pair


def _value(key: str, value: Any) -> Any:
    return NULL_MEANS.get(key) if value is None else value


def _below(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in dict.fromkeys([*old, *new]):
        yield from _changes(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))


def is_class(value: Any) -> bool:
    """Return whether a value of a config is a class with its options, rather than any other mapping."""
    if not isinstance(value, Mapping) or not isinstance(value.get("class_path"), str):
        return False
    return all(isinstance(value.get(name), Mapping | None) for name in ("init_args", "dict_kwargs"))


def _options(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**(value.get("init_args") or {}), **(value.get("dict_kwargs") or {})}


def _class_paths(value: Any) -> list[str] | None:
    """Return the classes of a list of nothing else, such as transforms and callbacks."""
    return [each["class_path"] for each in value] if isinstance(value, list) and all(map(is_class, value)) else None


def _recipe(old: Mapping[str, Any], new: Mapping[str, Any], *, shared_alike: bool) -> Iterator[Difference]:
    for key, (a, b) in differences(old, new).items():
        effect = "affects metric" if _within(key, _SHARING) and not shared_alike else effect_of(key)
        if effect:
            yield Difference(effect, "recipe", f"{key}: {arrow(a, b)}")


def effect_of(key: str) -> Effect | None:
    """Return what another value of an option can change; None where it says where the run is, not what it is."""
    if _within(key, _UNSHOWN):
        return None
    if _within(key, _COSMETIC):
        return "cosmetic"
    return "affects speed" if _within(key, _SPEED) else "affects metric"


def _within(key: str, options: tuple[str, ...]) -> bool:
    return any(key == option or key.startswith(f"{option}.") for option in options)


def _code(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield the commit and the uncommitted Python files; recipes and data are compared by their content."""
    if old.get("commit") != new.get("commit"):
        a, b = ((state.get("commit") or "none")[:10] for state in (old, new))
        yield Difference("affects metric", "code", f"commit: {a} -> {b}")
    changed = differences(old["changed"], new["changed"])
    if changed:
        yield Difference("affects metric", "code", f"uncommitted changes: {_listed(changed)}")
    untracked = set(old.get("untracked") or ()) ^ set(new.get("untracked") or ())
    if files := [file for file in untracked if file.endswith(".py")]:
        yield Difference("affects metric", "code", f"untracked, in one of them only: {_listed(files)}")


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(sorted(names)[:_LISTED]) + more


def _data(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for split in dict.fromkeys([*old, *new]):
        a, b = (each.get(split) or {"samples": 0} for each in (old, new))
        if a["samples"] != b["samples"]:
            yield Difference("affects metric", "data", f"{split}: {a['samples']} -> {b['samples']} samples")
        elif differ(a.get("sha256"), b.get("sha256")):
            yield Difference("affects metric", "data", f"{split}: other content ({a['samples']} samples)")


def _unknown_labels(old: Path, new: Path, *records: Mapping[str, Any]) -> list[str]:
    """Return which run of an older version has no record of its labels, where the other one has."""
    has_labels = [any(parse(split.get("sha256"))[1] for split in record.values()) for record in records]
    lacking = [folder for folder, is_known in zip((old, new), has_labels, strict=True) if not is_known]
    return [
        f"{folder / 'data.json'} is of an older version: labels not compared" for folder in lacking if any(has_labels)
    ]


def _environment(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for package, (a, b) in differences(old.get("packages") or {}, new.get("packages") or {}).items():
        area: Area = "code" if package == "lightseg" else "environment"
        yield Difference("cosmetic" if package == "wandb" else "affects metric", area, f"{package}: {arrow(a, b)}")
    for name in ("cuda", *_SPEED_ENVIRONMENT, *_HARDWARE):
        a, b = old.get(name), new.get(name)
        if a != b:
            effect: Effect = "affects metric" if name == "cuda" else "affects speed"
            yield Difference(effect, "hardware" if name in _HARDWARE else "environment", f"{name}: {arrow(a, b)}")


def arrow(old: Any, new: Any) -> str:
    """`old -> new`, in one line; classes by their last name, unless that is the same."""
    a, b = show(old), show(new)
    return f"{a} -> {b}" if a != b else f"{show(old, in_full=True)} -> {show(new, in_full=True)}"


def show(value: Any, in_full: bool = False) -> str:
    """Return a value as YAML has it, and a class as the call that makes it."""
    if is_class(value):
        name = value["class_path"] if in_full else value["class_path"].rpartition(".")[2]
        options = [f"{name}={show(each, in_full)}" for name, each in _options(value).items()]
        return f"{name}({', '.join(options)})" if options else name
    if isinstance(value, list):
        return f"[{', '.join(show(each, in_full) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {show(each, in_full)}' for name, each in value.items())}}}"
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value, default=str)


def _record(path: Path) -> dict[str, Any] | None:
    """Return what a run recorded; None if it was killed before it did. With `git.json` come its uncommitted changes."""
    if not path.is_file():
        return None
    record = read_record(path)
    if path.name == "git.json":
        diff = path.with_name("git.diff")
        if diff.is_file() and diff.stat().st_size > _DIFF_BYTES:
            raise UserError(f"{diff}: is longer than {_DIFF_BYTES} bytes, too long to compare; remove it")
        # a record of the state without its content says nothing
        record["changed"] = _changed(printable(diff.read_text(errors="replace")) if diff.is_file() else "")
    return record


def _changed(diff: str) -> dict[str, str]:
    """Return the changes of each Python file in what `git diff` has said."""
    changes: dict[str, list[str]] = {}
    name = ""
    for line in diff.split("\n"):
        if line.startswith(_HEADER):
            name = line.removeprefix(_HEADER).rpartition(" b/")[0]
            changes[name] = []
        elif name:
            changes[name].append(line)
    return {file: "\n".join(lines) for file, lines in changes.items() if file.endswith(".py")}
