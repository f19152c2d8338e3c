"""Values of `--grid KEY=VALUE,VALUE…`."""

import argparse
from itertools import product

import yaml

from lightseg.config.compose import SECTIONS, require_bounded
from lightseg.config.option_names import plain_key, suggest_option
from lightseg.errors import ConfigError

_OTHER_OPTIONS = {"seed_everything": "--seeds", "data.fold": "--folds", "data.folds": "--folds"}
"""Options of a series that vary a key instead of a grid."""

_SHARED = ("trainer.accelerator", "trainer.devices", "trainer.num_nodes")
"""Keys by which the runs share the machine."""


def parse_axis(text: str) -> tuple[str, list[str]]:
    """Return key and values of one argument of `--grid`; a value may be a list or a mapping with commas of its own.

    Raises:
        argparse.ArgumentTypeError: If it is not a key of a recipe with two values or more.
    """
    key, _, values = text.partition("=")
    _require_key(key)
    words = _split(key, values)
    if len(words) < 2:
        raise argparse.ArgumentTypeError(
            f"{key}: give two values or more, as in {key}=1,2; for one value write --{key} VALUE"
        )
    values_of = [_value(word) for word in words]
    repeated = [word for word, value in zip(words, values_of, strict=True) if values_of.count(value) > 1]
    if repeated:
        raise argparse.ArgumentTypeError(f"{key}: the value {repeated[0]} is given twice; give each once")
    return key, words


def points(axes: list[tuple[str, list[str]]]) -> list[dict[str, str]]:
    """Return all combinations of the values of the axes, the last one varying fastest; one empty point for no axis."""
    keys = [key for key, _ in axes]
    return [dict(zip(keys, values, strict=True)) for values in product(*(values for _, values in axes))]


def _require_key(key: str) -> None:
    section = key.partition(".")[0]
    if option := _OTHER_OPTIONS.get(plain_key(key)):
        raise argparse.ArgumentTypeError(f"{key}: {option} varies it; take that")
    if plain_key(key) in _SHARED:
        raise argparse.ArgumentTypeError(
            f"{key}: all runs of a series share the machine in the same way; give --{key} for all of them"
        )
    if section not in SECTIONS:
        raise argparse.ArgumentTypeError(
            f"{key}: no key of model, data or trainer{suggest_option(key)}; "
            "write KEY=VALUE,VALUE as in model.optimizer.lr=1e-3,3e-3"
        )


def _value(word: str) -> str:
    """Return the same text for different spellings of a value, such as 1e-3, which YAML takes for text, and 0.001."""
    try:
        value = yaml.safe_load(word)
        number = float(value) if isinstance(value, str) else value
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError):
        return word
    return repr(float(number)) if type(number) is int and abs(number) < 2**53 else repr(number)


def _split(key: str, values: str) -> list[str]:
    """Return the values as they are written: the items of a YAML list."""
    text = f"[{values}]"
    try:
        require_bounded(text, f"--grid {key}")
        node = yaml.compose(text, yaml.SafeLoader)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--grid ")) from None
    except yaml.YAMLError:
        node = None
    # a text that closes the list early is followed by others
    if not isinstance(node, yaml.SequenceNode) or node.end_mark.index != len(text):
        raise argparse.ArgumentTypeError(
            f"{key}: {values} is no list of values; separate them by commas, and quote what YAML does not take as text"
        )
    return [text[item.start_mark.index : item.end_mark.index].strip() for item in node.value]
