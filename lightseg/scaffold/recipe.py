"""Text of a recipe: YAML with its reasons in comments."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from lightseg.files.printable import printable_line
from lightseg.scaffold.choices import Choices
from lightseg.scaffold.settings import Setting

_WIDTH = 120


def format_recipe(choices: Choices, lines: Sequence[str]) -> str:
    """Return a recipe.

    Args:
        choices: Its settings.
        lines: Comments at its beginning.
    """
    text = [line for comment in lines for line in _comment(comment, "")]
    text.append(f"base: {_flow(choices.base)}")
    for section, head, settings in (("model", choices.task, choices.model), ("data", None, choices.data)):
        text += [f"{section}:", *(_setting(head, "  ") if head else ()), "  init_args:"]
        text += [line for setting in settings for line in _setting(setting, "    ")]
    text += ["trainer:", *(line for setting in choices.trainer for line in _setting(setting, "  "))]
    return "\n".join(text) + "\n"


def _setting(setting: Setting, indent: str) -> Iterator[str]:
    """Yield the lines of a setting: its reason, then the option."""
    yield from _comment(setting.reason, indent)
    key, value = setting.key, setting.value
    line = f"{indent}{'' if setting.is_active else '# '}{key}: {_flow(value)}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield f"{indent}{key}:"
        for item in value:
            names = list(item)
            yield from (f"{indent}  {'-' if name == names[0] else ' '} {name}: {_flow(item[name])}" for name in names)
    elif len(line) <= _WIDTH or not setting.is_active:
        yield line
    elif isinstance(value, dict):
        yield f"{indent}{key}:"
        yield from (f"{indent}  {_flow(name)}: {_flow(item)}" for name, item in value.items())
    elif isinstance(value, list):
        yield f"{indent}{key}:"
        yield from (f"{indent}  - {_flow(item)}" for item in value)
    else:
        yield line


def _comment(text: str, indent: str) -> list[str]:
    """Return a text as comment lines; a name in it cannot end the comment."""
    return textwrap.wrap(
        printable_line(text),
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_on_hyphens=False,
    )


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
