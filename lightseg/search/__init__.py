"""Search for the values of a recipe's keys with Optuna, at an equal budget for each trial."""

from lightseg.config.lazy import lazy_getattr

__getattr__ = lazy_getattr(__name__, {"main": "__main__"})
