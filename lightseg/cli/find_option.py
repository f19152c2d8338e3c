"""Option `--find` of `fit`: names of settings that are searched before the run.

Imports nothing heavy, so that a mistake is reported at once.
"""

from collections.abc import Sequence

from lightseg.cli.argv import option_names, option_values
from lightseg.config.option_names import plain_key
from lightseg.errors import did_you_mean, require

KEYS = {"batch_size": "data.batch_size", "lr": "model.optimizer.lr"}
"""Key of each setting, in the order of the searches: the learning rate is that of the new batch."""


def split_find(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line of `fit` into the names of `--find` and the other arguments.

    Returns:
        The names in the order of the searches, and the other arguments.

    Raises:
        ConfigError: If a name is unknown, or another option contradicts it.
    """
    # the empty word is the value of an option at the end
    values = option_values([*args, ""], "--find")
    if not values:
        return [], list(args)
    require(len(values) == 1, f"--find: is given {len(values)} times; give all names at once, as in lr,batch_size")
    names = [name.strip() for name in values[0].split(",")]
    for name in names:
        require(name in KEYS, f"--find: no setting '{name}' to find{did_you_mean(name, KEYS, len(KEYS))}")
    require(len(set(names)) == len(names), f"--find {values[0]}: give each name once")
    others = _without_option(args)
    for option in ("resume", "extend"):
        require(option not in option_names(others), f"--find: --{option} keeps the values of the run; leave --find out")
    for name in names:
        require_absent(name, option_names(others), f"--{KEYS[name]}")
    return [name for name in KEYS if name in names], others


def require_absent(name: str, keys: Sequence[str], option: str) -> None:
    """Check that keys, with or without `init_args`, have none that is searched.

    Args:
        name: Name of the setting.
        keys: The keys.
        option: Option that gives its key, for the message.

    Raises:
        ConfigError: If they have it.
    """
    require(KEYS[name] not in map(plain_key, keys), f"give --find {name} or {option}, not both")


def _without_option(args: Sequence[str]) -> list[str]:
    """Return the arguments without `--find` and its value."""
    others, words = list[str](), iter(args)
    for word in words:
        if word == "--find":
            next(words, None)
        elif not word.startswith("--find="):
            others.append(word)
    return others
