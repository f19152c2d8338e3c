"""Recipes in checkpoints, and the tasks and data modules that are rebuilt from them."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import Tensor, nn

from lightseg.checkpoint.trusted_classes import (
    announce,
    foreign_classes,
    known_class,
    require_known,
    require_known_losses,
    require_known_transforms,
)
from lightseg.checkpoint.validation import fill, require_net_fits
from lightseg.cli.parser import Parser
from lightseg.data import ImageDataModule
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.io.image_values import image_values
from lightseg.errors import ConfigError, UserError
from lightseg.files.printable import printable_line
from lightseg.labels import Color
from lightseg.nets.lora import base_state, merge_state
from lightseg.runs.diff import differences, effect_of
from lightseg.tasks import Task

FORMAT_VERSION, MAX_VERSION = 1, 2**16


def make_recipe(
    config: dict[str, Any],
    classes: list[str],
    in_channels: int,
    palette: list[Any],
    image_values: Mapping[str, Any] | None = None,
    mask_colors: Mapping[int, Color] | None = None,
    lineage: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the recipe that makes a checkpoint self-contained, as plain data.

    Args:
        config: The resolved config.
        classes: Class names.
        in_channels: Channels of an image.
        palette: One RGB color per class.
        image_values: Bands, range and nodata value of the images (`ImageValues.to_record`); None: as stored.
        mask_colors: Color of each palette index of the masks, if indices are class ids.
        lineage: Records of the trained models that the training started from, `init` and `extend`.
    """
    optional: dict[str, Any] = {} if image_values is None else {"image_values": dict(image_values)}
    if mask_colors:
        optional["mask_colors"] = [[index, *color] for index, color in mask_colors.items()]
    if lineage:
        optional["lineage"] = dict(lineage)
    return {
        **optional,
        "format_version": FORMAT_VERSION,
        "config": config,
        "classes": list(classes),
        "in_channels": in_channels,
        "palette": [list(color) for color in palette],
    }


def build_task(
    recipe: dict[str, Any], file: Path | str, trust: bool = False, state: Mapping[str, Tensor] | None = None
) -> Task:
    """Build the task of a recipe with random weights, without downloads, optimizer and schedule.

    Args:
        recipe: The recipe, with the options as training resolved them.
        file: Source of the recipe, for messages.
        trust: Also build custom classes.
        state: The weights to be loaded; a net that they do not fit is refused before memory is allocated for it.

    Raises:
        UserError: If the recipe names classes that are not trusted or cannot be imported, or the weights do not fit.
    """
    model = _inference_model(recipe)
    net = model["init_args"]["net"]
    if not trust:
        require_known(net, "net", file)
        require_known(model, "model", file)
        require_known_losses(model["init_args"].get("loss"), file)
        if state is not None:
            require_net_fits(
                known_class(net["class_path"]), net["init_args"], state, file, model["init_args"].get("lora")
            )
    parser = ArgumentParser(exit_on_error=False)
    # as on the command line, where a custom net may lack type hints
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
        # errors of a custom class keep their traceback
        if trust:
            raise
        raise UserError(f"{file} cannot be loaded again: {printable_line(str(error))[:300]}") from None
    task.recipe = {key: value for key, value in recipe.items() if key != "resolved"}
    return task


_TRAINING_ONLY = (
    *("optimizer", "schedule", "schedule_interval", "init", "layer_decay", "freeze_stages"),
    *("teacher", "teacher_temperature", "teacher_weight"),
)
"""Options of a task that a trained one does without."""


def _inference_model(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the model block of a recipe as inference needs it: resolved, without initial weights and optimizer."""
    # a copy, since the parser replaces dicts by its own type
    model: dict[str, Any] = copy.deepcopy(recipe["config"]["model"])
    options = {**model["init_args"], **recipe["resolved"], "classes": recipe["classes"], "compile": False}
    for name in _TRAINING_ONLY:
        options.pop(name, None)
    options["net"] = _bare_net(options["net"], len(recipe["classes"]), recipe["in_channels"])
    model["init_args"] = options
    return model


def _bare_net(net: dict[str, Any], num_classes: int, in_channels: int) -> dict[str, Any]:
    """Return the net block of a recipe for some classes and channels, without pretrained weights."""
    options = {**(net.get("init_args") or {}), "num_classes": num_classes}
    if in_channels != 3:
        options["in_channels"] = in_channels
    if "encoder_weights" in options:
        # trained weights replace them
        options["encoder_weights"] = None
    # it is for training alone, and an exported graph cannot have it
    options.pop("grad_checkpointing", None)
    return {**net, "init_args": options}


def class_tensors(net: nn.Module, config: Mapping[str, Any], num_classes: int, in_channels: int) -> set[str]:
    """Return the names of a net's tensors whose shape depends on the number of classes.

    They are found by building the net once more, with another number of classes.

    Args:
        net: The net.
        config: The user's own resolved config, from which the net was built.
        num_classes: Number of classes of the net.
        in_channels: Channels of an image.

    Raises:
        ConfigError: If the net cannot be built with another number of classes.
    """
    # a copy, since the parser replaces dicts by its own type
    spec = copy.deepcopy(config["model"]["init_args"]["net"])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "net", fail_untyped=False)
    try:
        parsed = parser.parse_object({"net": _bare_net(spec, num_classes + 1, in_channels)})
        larger = parser.instantiate(parsed).net.state_dict()
    except Exception as error:
        raise ConfigError(
            f"model.init: {type(net).__name__} cannot be built for {num_classes + 1} classes, by which its last layer "
            f"is found: {printable_line(str(error))[:300]}"
        ) from error
    state = base_state(net.state_dict())
    return {name for name, value in state.items() if name not in larger or value.shape != larger[name].shape}


def merge_adapters(task: Task) -> Task:
    """Return a task without adapters that has the same output: a new one, or the task itself if it has none."""
    lora = task.adapters.lora
    if lora is None:
        return task
    recipe = copy.deepcopy({**task.recipe, "resolved": task.resolved})
    recipe["config"]["model"]["init_args"]["lora"] = None
    recipe.pop("shared", None)
    record = {"rank": lora.rank, "alpha": lora.alpha, "targets": list(lora.targets)}
    recipe["lineage"] = {**(recipe.get("lineage") or {}), "lora": record}
    merged = build_task(recipe, "the recipe of the run", trust=True)
    fill(merged, merge_state(task.state_dict(), lora), "the weights of the run")
    merged.temperature = task.temperature
    return merged.eval()


_TRAINING_OPTIONS = (
    *("batch_size", "sampling", "repeat_threshold", "rare_classes", "copy_paste", "rare_transforms"),
    *("train_transforms", "on_device", "device_transforms", "mixup", "cutmix"),
)
"""Options of every data module that affect training alone, not the score of a trained net."""


def build_data(
    config: Mapping[str, Any], args: Sequence[str] = (), trust: bool = False, file: object = "the recipe of the run"
) -> ImageDataModule:
    """Return the data module of a resolved config.

    Args:
        config: What `config.yaml` of a run folder holds, or `recipe["config"]` of a loaded task.
        args: Command-line options that change the data, such as `--data.root OTHER`.
        trust: Also import and run custom classes that the config names; without it, nothing is downloaded either,
            unless an option sets it.
        file: Source of the config, for messages; None for the user's own recipe, whose classes are not announced.

    Raises:
        UserError: If the config has no data, a class is not trusted, an option is unknown or wrong, or the module
            cannot be built.
    """
    return data_and_block(config, args, trust, file)[0]


def data_and_block(
    config: Mapping[str, Any], args: Sequence[str] = (), trust: bool = False, file: object = "the recipe of the run"
) -> tuple[ImageDataModule, dict[str, Any], dict[str, Any]]:
    """Return the data module, and the resolved data block of the config without and with the options.

    Args and Raises are those of `build_data`.
    """
    if absent_keys := [name for name in ("data", "seed_everything") if config.get(name) is None]:
        raise UserError(f"{file or 'the recipe'}: has no {absent_keys[0]}, without which its data cannot be made again")
    # a copy, since the parser replaces dicts by its own type
    spec: dict[str, Any] = copy.deepcopy(config["data"])
    if not trust:
        require_known(spec, "data", file)
        require_known_transforms(spec, file)
        if "download" in (spec.get("init_args") or {}):
            spec["init_args"]["download"] = False
    elif file is not None:
        announce(foreign_classes(spec), file)
    parser = Parser()
    # as in training, where a custom class may lack type hints
    parser.add_subclass_arguments(ImageDataModule, "data", fail_untyped=False)
    composed = parser.parse_object({"data": spec})
    parser.composed = composed
    before = _data_block(parser, composed)
    parsed = parser.parse_args(list(args), namespace=composed)
    after = _data_block(parser, parsed)
    data: ImageDataModule = parser.build(parsed).data
    data.seed = config["seed_everything"]
    return data, before, after


_VALUE_OPTIONS = ("bands", "nodata", "value_range")
"""Options of a user's own files that define the values of images."""


def keep_image_values(data: ImageDataModule, recipe: Mapping[str, Any], block: Mapping[str, Any]) -> None:
    """Make a data module read images as a trained net expects them, unless its options differ from those of the run.

    Args:
        data: The data module, of which no sample has been read.
        recipe: The recipe of the checkpoint.
        block: The resolved data block of the module.
    """
    recorded, options = (
        {name: (spec.get("init_args") or {}).get(name) for name in _VALUE_OPTIONS}
        for spec in (recipe["config"]["data"], block)
    )
    if isinstance(data, FileDataModule) and not differences(recorded, options):
        data.use_values(image_values(recipe))


def scoring_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new values, by key, of options that differ between two data blocks and can change a score."""
    changed = differences({"data": before}, {"data": after})
    return {
        key: new
        for key, (_, new) in changed.items()
        if effect_of(key) == "affects metric" and (*key.split("."), "")[1] not in _TRAINING_OPTIONS
    }


def _data_block(parser: Parser, config: Namespace) -> dict[str, Any]:
    """Return the data block of a parsed config as plain data."""
    block: dict[str, Any] = yaml.safe_load(parser.dump(config, skip_unset=False, skip_validation=True))["data"]
    return block
