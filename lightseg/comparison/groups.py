"""Groups of runs (one recipe with other seeds), the differences between groups, and their labels."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightseg.errors import UserError, did_you_mean
from lightseg.files.printable import printable
from lightseg.runs.diff import NULL_MEANS, apart, effect_of, is_class, show
from lightseg.runs.fingerprint import parse
from lightseg.runs.read import Run

Recipe = dict[str, Any]
"""Values of a config by the key that the command line has for them; what is null is left out."""

NONE = "–"
"""Stands for what is null, or an option that another class does not have."""

RUN = "run"
"""As a key: each run is a group of its own."""

_CHANCE = ("seed_everything", "data.fold")

_CONTENT, _LABELS = "training data", "training labels"
_APART = "processes without SyncBatchNorm"
"""As keys: what determines a run's numbers and stands in no config."""

_IN_LABEL = 3
"""So many differences are all in a label; of more, those that tell the groups apart."""

_WIDTH = 32
"""Of one value in a label."""


def group(runs: Iterable[Run], by: str | None = None) -> list[list[Run]]:
    """Put the runs together that are of one recipe.

    Args:
        runs: The runs.
        by: A key, as `resolve` returns it, whose value alone is to make the groups.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = str(run.folder) if by == RUN else flat(run.config).get(by) if by else recipe(run)
        groups.setdefault(canonical(key), []).append(run)
    return [groups[text] for text in sorted(groups)]


def recipe(run: Run) -> Recipe:
    """Return what determines a run's numbers but for chance: no seed, no names and places, nothing of speed alone.

    Beside the keys of the config stand the content and the labels of the training data, which its place does not tell,
    and the number of processes that normalised batches each by itself, where these are several.
    """
    options = {
        key: value
        for key, value in flat(run.config).items()
        if key not in _CHANCE and effect_of(key) == "affects metric"
    }
    if (processes := apart(run.config, run.environment)) > 1:
        options[_APART] = processes
    # folds train on parts of what they are scored on, all of them together
    if run.fold is None and (train := run.data.get("train")):
        content, label_hash = parse(train.get("sha256"))
        options[_CONTENT] = f"{train['samples']} samples, hash {content[:12] or 'unknown'}"
        # older versions have recorded none
        options[_LABELS] = f"hash {label_hash[:12]}" if label_hash else "unknown"
    return options


def canonical(value: Any) -> str:
    """Return a value so that what is equal is the same text: 1 is 1.0."""
    if isinstance(value, Mapping):
        return json.dumps({str(key): canonical(value[key]) for key in sorted(value, key=str)})
    if isinstance(value, list):
        return json.dumps([canonical(each) for each in value])
    return json.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, default=str)


def flat(config: Mapping[str, Any]) -> Recipe:
    """Return a resolved config without nesting; a class is one value, beside its options, as is any other mapping."""
    options: Recipe = {}
    for key, value in config.items():
        plain = isinstance(value, Mapping) and not is_class(value)
        for name, each in ({f"{key}.{name}": each for name, each in value.items()} if plain else {key: value}).items():
            options |= _options(each, name)
    return {
        key: value
        for key in options
        if (value := NULL_MEANS.get(key) if options[key] is None else options[key]) is not None
    }


def resolve(by: str, runs: Sequence[Run]) -> str:
    """Return the key that is meant by it or by its end: `net.encoder` for `model.init_args.net.init_args.encoder`.

    Raises:
        UserError: If no config has such a key, or several have.
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
    """Return the differences between groups: for each its value by short key; several values as `0.1 | 0.01`.

    An option that is missing because the class is another is no difference of its own.
    """
    recipes = [[recipe(run) for run in runs] for runs in groups]
    keys = list(dict.fromkeys(key for options in recipes for one in options for key in one))
    values = {key: [_distinct(one.get(key) for one in options) for options in recipes] for key in keys}
    changed = [key for key in keys if len({tuple(texts) for texts in values[key]}) > 1]
    keys_to_show = [key for key in changed if not _follows(key, changed, values[key])]
    names = _short(keys_to_show)
    return [
        {names[key]: " | ".join(dict.fromkeys(values[key][index].values())) for key in keys_to_show}
        for index in range(len(groups))
    ]


def labels(groups: Sequence[Sequence[Run]], differs: Sequence[Mapping[str, str]], by: str | None = None) -> list[str]:
    """Short names for groups, all different: the experiment's where that tells them apart, else with what differs.

    Args:
        groups: The groups.
        differs: What differs between them.
        by: The key that has made the groups.
    """
    if by == RUN:
        folders = [printable(runs[0].folder.name) for runs in groups]
        return folders if len(set(folders)) == len(folders) else _unique([runs[0].label for runs in groups])
    if by:
        values = [_distinct([flat(runs[0].config).get(by)]) for runs in groups]
        return _unique([f"{by.rpartition('.')[2]} {_cut(*value.values())}" for value in values])
    names = [runs[0].name for runs in groups]
    if len(set(names)) == len(names):
        return names
    keys = _telling(differs)
    others = sum(key not in (*keys, _CONTENT, _LABELS) for key in differs[0])
    more = f" and {others} more" if others else ""
    texts = [", ".join(f"{key} {_cut(each[key])}" for key in keys) + more for each in differs]
    same = len(set(names)) == 1
    return _unique(texts if same else [f"{name}, {text}" for name, text in zip(names, texts, strict=True)])


def _options(value: Any, key: str) -> Recipe:
    if not is_class(value):
        return {key: value}
    options: Recipe = {key: {"class_path": value["class_path"]}}
    for name, each in {**(value.get("init_args") or {}), **(value.get("dict_kwargs") or {})}.items():
        options |= _options(each, f"{key}.{name}")
    return options


def _distinct(values: Iterable[Any]) -> dict[str, str]:
    """Return the different ones of some values: exactly, and as they are shown; sorted."""
    return dict(sorted({canonical(value): NONE if value is None else show(value) for value in values}.items()))


def _follows(key: str, changed: Sequence[str], values: Sequence[Mapping[str, str]]) -> bool:
    """Return whether a key differs only because the class whose option it is differs, which not all groups have."""
    known = {text for texts in values for text in texts}
    return len(known - {canonical(None)}) == 1 and any(key.startswith(f"{prefix}.") for prefix in changed)


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest ends of keys that are all different."""
    names = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        names[key] = next(
            end for end in ends if sum(f".{other}".endswith(f".{end}") for other in keys) == 1 or end == key
        )
    return names


def _telling(differs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys for a label: all if they are few, else one by one those that tell most groups apart."""
    keys = list(differs[0])

    def told(names: list[str]) -> int:
        return len({tuple(each[name] for name in names) for each in differs})

    # these mostly follow from an option of the data, which says more, and the labels from the content
    for following in (_LABELS, _CONTENT):
        other_keys = [key for key in keys if key != following]
        keys = other_keys if told(other_keys) == told(keys) else keys
    if len(keys) <= _IN_LABEL:
        return keys
    chosen: list[str] = []
    while told(chosen) < told(keys):
        chosen.append(max(keys, key=lambda key: told([*chosen, key])))
    return chosen


def _unique(texts: Sequence[str]) -> list[str]:
    return [
        text if texts.count(text) == 1 else f"{text} #{texts[: index + 1].count(text)}"
        for index, text in enumerate(texts)
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
