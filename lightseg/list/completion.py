"""Completion of the command line in bash."""

from lightseg.config.option_names import COMMON_OPTIONS, FIT_OPTIONS
from lightseg.errors import UserError
from lightseg.list.classes import CLASSES, read_keys

_VALUES = {
    "--model.net": "nets",
    "--model.net.encoder": "encoders",
    "--model.net.head": "heads",
    "--model.loss": "losses",
    "--model.schedule": "schedules",
    "--data": "datasets",
}
"""Kind of list for the value of an option."""

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
    *) [[ ${{COMP_WORDS[1]}} == fit && $word == --* ]] && words='{options}' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _lightseg lightseg
"""


def bash_script(shell: str) -> str:
    """Return the script that completes verbs, what `list` lists, common options of `fit`, and names of some options.

    Args:
        shell: `bash`, which is also meant by an empty text.

    Raises:
        UserError: If it is another shell.
    """
    if shell not in ("", "bash"):
        raise UserError(
            f"completion: is for bash, not for '{shell}'; zsh takes it after `autoload -U bashcompinit && bashcompinit`"
        )
    values = [
        f'    {option}) words=$(lightseg list {kind} "$word*" --names 2> /dev/null) ;;'
        for option, kind in _VALUES.items()
    ]
    return _SCRIPT.format(
        verbs=" ".join(read_keys("__main__.py", "VERBS")),
        kinds=" ".join(["encoders", *CLASSES, "pairs", "completion"]),
        values="\n".join(values),
        options=" ".join(dict.fromkeys(f"--{option}" for option in (*FIT_OPTIONS, *COMMON_OPTIONS))),
    )
