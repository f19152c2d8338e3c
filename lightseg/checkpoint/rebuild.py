"""Recipe that a checkpoint carries, and the task and the data that it rebuilds."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import Tensor

from lightseg.checkpoint.trusted_classes import announce, foreign_classes, known_class, require_known
from lightseg.checkpoint.validation import require_net_fits
from lightseg.cli.parser import Parser
from lightseg.data import ImageDataModule
from lightseg.errors import UserError
from lightseg.files.printable import printable_line
from lightseg.runs.diff import differences, effect_of
from lightseg.tasks import Task

FORMAT_VERSION, MAX_VERSION = 1, 2**16


def make_recipe(
    config: dict[str, Any],
    classes: list[str],
    in_channels: int,
    palette: list[Any],
    image_values: Sequence[float | None] | None = None,
) -> dict[str, Any]:
    """Return what a checkpoint must carry so that it can be loaded alone, as plain data.

    Args:
        config: The resolved config.
        classes: Class names.
        in_channels: Channels of an image.
        palette: One RGB colour per class.
        image_values: The meaning of an image's values (`ImageValues`), where files do not say it.
    """
    values = {} if image_values is None else {"image_values": list(image_values)}
    return {
        **values,
        "format_version": FORMAT_VERSION,
        "config": config,
        "classes": list(classes),
        "in_channels": in_channels,
        "palette": [list(color) for color in palette],
    }


def build_task(
    content: dict[str, Any], file: Path | str, trust: bool = False, state: Mapping[str, Tensor] | None = None
) -> Task:
    """Return the task of a recipe, with random weights and no download, and without its optimiser and schedule.

    Args:
        content: The recipe, with what its options have become.
        file: Where it is from, for messages.
        trust: Build other classes than lightseg's own, too.
        state: The weights that it is to have; nothing that they do not fit is given memory.

    Raises:
        UserError: If it names classes that are not trusted or cannot be imported any more, or the weights do not fit.
    """
    # a copy, since the parser turns dicts into its own kind
    model = copy.deepcopy(content["config"]["model"])
    options = {**model["init_args"], **content["resolved"], "classes": content["classes"], "compile": False}
    for name in ("optimizer", "schedule"):
        # of the training alone
        options.pop(name, None)
    net = options["net"]
    net_options = {**(net.get("init_args") or {}), "num_classes": len(content["classes"])}
    if content["in_channels"] != 3:
        net_options["in_channels"] = content["in_channels"]
    if "encoder_weights" in net_options:
        # the checkpoint's own weights take their place
        net_options["encoder_weights"] = None
    options["net"] = {**net, "init_args": net_options}
    model["init_args"] = options
    if not trust:
        require_known(options["net"], "net", file)
        require_known(model, "model", file)
        if state is not None:
            require_net_fits(known_class(net["class_path"]), net_options, state, file)
    parser = ArgumentParser(exit_on_error=False)
    # as on the command line, where a net of one's own may leave out its types
    parser.add_subclass_arguments(Task, "model", fail_untyped=False)
    try:
        parsed = parser.parse_object({"model": model})
    except Exception as error:
        raise UserError(
            f"{file} cannot be loaded again: {printable_line(str(error))}\n"
            f"Is {net['class_path']} importable from here, and are its constructor's arguments plain values?"
        ) from None
    try:
        task: Task = parser.instantiate(parsed).model
    except Exception as error:
        # what a class of one's own raises keeps its traceback
        if trust:
            raise
        raise UserError(f"{file} cannot be loaded again: {printable_line(str(error))[:300]}") from None
    task.recipe = {key: value for key, value in content.items() if key != "resolved"}
    return task


_OF_TRAINING = (
    *("batch_size", "sampling", "repeat_threshold", "rare_classes", "copy_paste", "rare_transforms"),
    *("train_transforms", "on_device", "device_transforms"),
)
"""Options of every data module that change how it is trained on, and no score of a trained net."""


def build_data(
    config: Mapping[str, Any], args: Sequence[str] = (), trust: bool = False, file: object = "the recipe of the run"
) -> ImageDataModule:
    """Return the data module of a resolved config.

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
    """Return the same, with the data block of the config as it would be resolved now, without and with the options."""
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
    parsed = parser.parse_object({"data": spec})
    parser.composed = parsed
    before = _block(parser, parsed)
    chosen = parser.parse_args(list(args), namespace=parsed)
    after = _block(parser, chosen)
    data: ImageDataModule = parser.build(chosen).data
    data.seed = config["seed_everything"]
    return data, before, after


def scoring_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a data block that changed and can change a score: their new values by key."""
    changed = differences({"data": before}, {"data": after})
    return {
        key: new
        for key, (_, new) in changed.items()
        if effect_of(key) == "affects metric" and (*key.split("."), "")[1] not in _OF_TRAINING
    }


def _block(parser: Parser, config: Namespace) -> dict[str, Any]:
    """Return the data block of a parsed config, as plain data."""
    block: dict[str, Any] = yaml.safe_load(parser.dump(config, skip_unset=False, skip_validation=True))["data"]
    return block
