"""Groups of runs of one recipe, the options that differ between groups, and labels of groups."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightseg.errors import UserError, did_you_mean
from lightseg.files.printable import printable, printable_line
from lightseg.runs.diff import count_unsynced_processes, effect_of, format_value, is_class, meaning
from lightseg.runs.fingerprint import parse
from lightseg.runs.origin import name_origin
from lightseg.runs.read import Run

FlatConfig = dict[str, Any]
"""Values of a config by their keys on the command line, without null values."""

NONE = "none"
"""Text of a null value, or of an option that a class does not have."""

RUN = "run"
"""Key that makes a group of each run."""

_CHANCE = ("seed_everything", "data.fold")

_CONTENT, _LABELS, _PIXELS = "training data", "training labels", "training pixels"
_PROCESSES = "processes without SyncBatchNorm"
"""Keys of what affects metrics but is not in the config."""

_IN_LABEL = 3
"""Limit of the options in a label; of more options, those that distinguish most groups are chosen."""

_WIDTH = 32
"""Limit of the length of a value in a label."""

_MADE_UP_GROUP = re.compile(r"-\d{8}T\d{6}-[0-9a-f]{4}$")
"""End of the group that a series without a name gets."""


def group(runs: Iterable[Run], by: str | None = None) -> list[list[Run]]:
    """Group runs by recipe, or by the value of one key.

    Args:
        runs: Runs.
        by: Key as returned by `resolve`; None for the whole recipe.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        value = str(run.folder) if by == RUN else flat(run.config).get(by) if by else recipe(run)
        groups.setdefault(canonical(value), []).append(run)
    return [groups[text] for text in sorted(groups)]


def recipe(run: Run) -> FlatConfig:
    """Return what determines the metrics of a run except for the seed: no names, paths or options of speed.

    Beside options of the config, these are the content and the labels of the training data, and the number of
    processes that normalize their part of a batch separately if there are several.
    """
    options = {
        key: value
        for key, value in flat(name_origin(run.config, run.cost)).items()
        if key not in _CHANCE and effect_of(key) == "affects metric"
    }
    if (processes := count_unsynced_processes(run.config, run.environment)) > 1:
        options[_PROCESSES] = processes
    # the folds of one recipe have different training data
    if run.fold is None and (train := run.data.get("train")):
        content, labels, pixels = parse(train.get("sha256"))
        options[_CONTENT] = f"{train['samples']} samples, hash {content[:12] or 'unknown'}"
        # older versions did not record the labels, and not the pixels
        options[_LABELS] = f"hash {labels[:12]}" if labels else "unknown"
        if pixels:
            options[_PIXELS] = f"hash {pixels[:12]}"
    return options


def canonical(value: Any) -> str:
    """Return a text that is the same for equal values; 1 equals 1.0."""
    if isinstance(value, Mapping):
        return json.dumps({str(key): canonical(value[key]) for key in sorted(value, key=str)})
    if isinstance(value, list):
        return json.dumps([canonical(item) for item in value])
    return json.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, default=str)


def flat(config: Mapping[str, Any]) -> FlatConfig:
    """Return a resolved config without nesting; a class is a value beside its options, and so is a mapping in them."""
    options: FlatConfig = {}
    for key, section in config.items():
        if isinstance(section, Mapping) and not is_class(section):
            for name, value in section.items():
                options |= _options(value, f"{key}.{name}")
        else:
            options |= _options(section, key)
    values = {key: meaning(key, value) for key, value in options.items()}
    return {key: value for key, value in values.items() if value is not None}


def resolve(by: str, runs: Sequence[Run]) -> str:
    """Return the full key of a key or of its end: `model.net.encoder` for `net.encoder`.

    Raises:
        UserError: If no config has such a key, or several keys match.
    """
    keys = [RUN, *sorted({key for run in runs for key in flat(run.config)})]
    suffix = by.replace(".init_args", "").removesuffix(".class_path")
    matches = [suffix] if suffix in keys else [key for key in keys if key.endswith(f".{suffix}")]
    if not matches:
        ends = {".".join(key.split(".")[-length:]) for key in keys for length in range(1, 5)}
        raise UserError(f"--by {by}: no run has such a key{did_you_mean(suffix, sorted(ends))}")
    if len(matches) > 1:
        raise UserError(f"--by {by}: this may be {' or '.join(matches)}; write more of the one that is meant")
    return matches[0]


def differing(groups: Sequence[Sequence[Run]]) -> list[dict[str, str]]:
    """Return the options that differ between groups: for each group, values by short key, such as `0.1 | 0.01`.

    Options that differ only because of a different class are left out.
    """
    recipes = [[recipe(run) for run in runs] for runs in groups]
    keys = list(dict.fromkeys(key for members in recipes for options in members for key in options))
    values = {key: [_distinct(options.get(key) for options in members) for members in recipes] for key in keys}
    changed = [key for key in keys if len({tuple(texts) for texts in values[key]}) > 1]
    independent = [key for key in changed if not _follows(key, changed, values[key])]
    names = _short(independent)
    return [
        {names[key]: " | ".join(dict.fromkeys(values[key][index].values())) for key in independent}
        for index in range(len(groups))
    ]


def labels(groups: Sequence[Sequence[Run]], differs: Sequence[Mapping[str, str]], by: str | None = None) -> list[str]:
    """Return unique short labels: names of experiments where these are unique, else with differing options.

    Args:
        groups: Runs of each group.
        differs: Differing options of each group, as returned by `differing`.
        by: Key that defines the groups; None for the whole recipe.
    """
    if by == RUN:
        folders = [printable(runs[0].folder.name) for runs in groups]
        names = folders if len(set(folders)) == len(folders) else [runs[0].label for runs in groups]
        return _unique([f"{name}{_describe_part(runs[0], groups)}" for name, runs in zip(names, groups, strict=True)])
    if by:
        values = [_distinct([flat(runs[0].config).get(by)]) for runs in groups]
        return _unique([f"{by.rpartition('.')[2]} {_cut(*value.values())}" for value in values])
    names = [runs[0].name for runs in groups]
    if len(set(names)) == len(names):
        return names
    series = [_series_name(runs) for runs in groups]
    if all(series) and len(set(series)) == len(series):
        return series
    keys = _select_keys(differs)
    remaining = sum(key not in (*keys, _CONTENT, _LABELS, _PIXELS) for key in differs[0])
    suffix = f" (and {remaining} more)" if remaining else ""
    texts = [", ".join(f"{key} {_cut(options[key])}" for key in keys) + suffix for options in differs]
    if len(set(names)) == 1:
        return _unique(texts)
    return _unique([f"{name}, {text}" for name, text in zip(names, texts, strict=True)])


def _describe_part(run: Run, groups: Sequence[Sequence[Run]]) -> str:
    """Return the seed and the fold of a run where these differ, for its label: `, seed 1`; nothing of an ensemble."""
    if run.members:
        return ""
    runs = [runs[0] for runs in groups]
    seed = f", seed {run.seed}" if len({each.seed for each in runs}) > 1 else ""
    return seed + (f", fold {run.fold}" if run.fold is not None and len({each.fold for each in runs}) > 1 else "")


def _series_name(runs: Sequence[Run]) -> str:
    """Return the name that the user has given to the series of some runs (`--group`); empty without one."""
    names = {str(run.config.get("group") or "") for run in runs}
    name = names.pop() if len(names) == 1 else ""
    return "" if _MADE_UP_GROUP.search(name) else printable_line(name)


def _options(value: Any, key: str) -> FlatConfig:
    if not is_class(value):
        return {key: value}
    options: FlatConfig = {key: {"class_path": value["class_path"]}}
    for name, option in {**(value.get("init_args") or {}), **(value.get("dict_kwargs") or {})}.items():
        options |= _options(option, f"{key}.{name}")
    return options


def _distinct(values: Iterable[Any]) -> dict[str, str]:
    """Return the distinct values, sorted: canonical text to displayed text."""
    return dict(sorted({canonical(value): NONE if value is None else format_value(value) for value in values}.items()))


def _follows(key: str, changed: Sequence[str], values: Sequence[Mapping[str, str]]) -> bool:
    """Return whether an option differs only because not all groups have the class that has the option."""
    distinct = {text for texts in values for text in texts}
    return len(distinct - {canonical(None)}) == 1 and any(key.startswith(f"{class_key}.") for class_key in changed)


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest unique end of each key."""
    names = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        names[key] = next(
            end for end in ends if sum(f".{candidate}".endswith(f".{end}") for candidate in keys) == 1 or end == key
        )
    return names


def _select_keys(differs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys of labels: all if they are few, else a greedy choice of those that distinguish most groups."""
    keys = list(differs[0])

    def count_distinct(names: list[str]) -> int:
        return len({tuple(options[name] for name in names) for options in differs})

    # differences of pixels and labels mostly follow from the content, and that from an option, which is more readable
    for key in (_PIXELS, _LABELS, _CONTENT):
        shorter = [name for name in keys if name != key]
        keys = shorter if count_distinct(shorter) == count_distinct(keys) else keys
    if len(keys) <= _IN_LABEL:
        return keys
    minimal_keys: list[str] = []
    while count_distinct(minimal_keys) < count_distinct(keys):
        minimal_keys.append(max(keys, key=lambda key: count_distinct([*minimal_keys, key])))
    return minimal_keys


def _unique(texts: Sequence[str]) -> list[str]:
    return [
        text if texts.count(text) == 1 else f"{text} #{texts[: index + 1].count(text)}"
        for index, text in enumerate(texts)
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
