"""Completion of the command line in bash."""

import re

from lightseg.config.option_names import COMMON_OPTIONS, FIT_OPTIONS
from lightseg.errors import UserError
from lightseg.list.classes import CLASSES, read_keys, read_usage

_VALUES = {
    "--model.net": "nets",
    "--model.net.encoder": "encoders",
    "--model.net.head": "heads",
    "--model.loss": "losses",
    "--model.schedule": "schedules",
    "--data": "datasets",
}
"""Kind of list for the value of an option."""

_NOT_OF_RECIPE = {"--seeds", "--folds", "--grid", "--jobs", "--find", "--extend", "--resume", "--trust"}
"""Options of `fit` that other verbs with a recipe do not take as such."""

_SCRIPT = """\
# completes `lightseg` in bash; print it by: lightseg list completion bash
_lightseg() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
  # `--option=value` is three words
  if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
  case $before in
    lightseg) words='{verbs}' ;;
    list) words='{kinds}' ;;
{values}
    *) [[ $word == --* ]] && case ${{COMP_WORDS[1]}} in
{options}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _lightseg lightseg
"""


def bash_script(shell: str) -> str:
    """Return the script that completes verbs, what `list` lists, options, and the names that some options take.

    Args:
        shell: `bash`, which is also meant by an empty text.

    Raises:
        UserError: If it is another shell.
    """
    if shell not in ("", "bash"):
        raise UserError(
            f"completion: is for bash, not for '{shell}'; zsh takes it after `autoload -U bashcompinit && bashcompinit`"
        )
    verbs = read_keys("__main__.py", "VERBS")
    values = [
        f'    {option}) words=$(lightseg list {kind} "$word*" --names 2> /dev/null) ;;'
        for option, kind in _VALUES.items()
    ]
    return _SCRIPT.format(
        verbs=" ".join(verbs),
        kinds=" ".join(["encoders", *CLASSES, "pairs", "completion"]),
        values="\n".join(values),
        options="\n".join(f"      {verb}) words='{' '.join(_options(verb))}' ;;" for verb in verbs),
    )


def _options(verb: str) -> list[str]:
    """Return the options of a verb, by its usage; of a recipe those that people look for."""
    keys = dict.fromkeys(f"--{option}" for option in (*FIT_OPTIONS, *COMMON_OPTIONS))
    if verb == "fit":
        return list(keys)
    # not `--data.KEY`, which stands for several; `--key value` stands for all of a recipe
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]*(?![\w.-])", read_usage(verb)))
    return sorted(options ^ {"--key"} | set(keys) - _NOT_OF_RECIPE if "--key" in options else options)
