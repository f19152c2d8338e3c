"""The data of a finished run, made again from its recipe, without the task, whose net may look for weights online."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from jsonargparse import Namespace

from lightseg.cli import Parser
from lightseg.comparison.differences import differences, effect_of
from lightseg.data import ImageDataModule
from lightseg.errors import UserError
from lightseg.trust import announce, foreign_classes, require_known

_OF_TRAINING = (
    *("batch_size", "sampling", "repeat_threshold", "rare_classes", "copy_paste", "rare_transforms"),
    *("train_transforms", "on_device", "device_transforms"),
)
"""Options of every data module that change how it is trained on, and no score of a trained net."""


def data_of(
    config: Mapping[str, Any], args: Sequence[str] = (), trust: bool = False, file: object = "the recipe of the run"
) -> ImageDataModule:
    """The data module of a resolved config.

    Args:
        config: What `config.yaml` of a run folder holds, or `recipe["config"]` of a loaded task.
        args: Options of a command line that change the data, such as `--data.root OTHER`.
        trust: Import and run the classes of others that the config names; without it, nothing is downloaded either,
            unless an option says so.
        file: Where the config is from, for messages; None for the user's own, of which nothing need be said.

    Raises:
        UserError: If it has no data, a class is not trusted, an option is unknown or wrong, or the module cannot be
            made.
    """
    return data_and_block(config, args, trust, file)[0]


def data_and_block(
    config: Mapping[str, Any], args: Sequence[str] = (), trust: bool = False, file: object = "the recipe of the run"
) -> tuple[ImageDataModule, dict[str, Any], dict[str, Any]]:
    """The same, with the data block of the config as it would be resolved now, without and with the options."""
    if lacking := [name for name in ("data", "seed_everything") if config.get(name) is None]:
        raise UserError(f"{file or 'the recipe'}: has no {lacking[0]}, without which its data cannot be made again")
    # a copy, since the parser turns dicts into its own kind
    spec: dict[str, Any] = copy.deepcopy(config["data"])
    if not trust:
        require_known(spec, "data", file)
        if "download" in (spec.get("init_args") or {}):
            spec["init_args"]["download"] = False
    elif file is not None:
        announce(foreign_classes(spec), file)
    parser = Parser()
    # as in training, where a class of one's own may leave out its types
    parser.add_subclass_arguments(ImageDataModule, "data", fail_untyped=False)
    stated = parser.parse_object({"data": spec})
    parser.composed = stated
    before = _block(parser, stated)
    chosen = parser.parse_args(list(args), namespace=stated)
    after = _block(parser, chosen)
    data: ImageDataModule = parser.build(chosen).data
    data.seed = config["seed_everything"]
    return data, before, after


def scoring_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a data block that another has otherwise and that can change a score: their new values by key."""
    changed = differences({"data": before}, {"data": after})
    return {
        key: new
        for key, (_, new) in changed.items()
        if effect_of(key) == "affects metric" and (*key.split("."), "")[1] not in _OF_TRAINING
    }


def _block(parser: Parser, config: Namespace) -> dict[str, Any]:
    """The data block of a parsed config, as plain data."""
    block: dict[str, Any] = yaml.safe_load(parser.dump(config, skip_unset=False, skip_validation=True))["data"]
    return block
