"""Trained model to evaluate: checkpoints, the runs that they come from, and the data that it is scored on."""

from __future__ import annotations

import pkgutil
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lightseg.checkpoint import loading
from lightseg.checkpoint.locate import model_file
from lightseg.checkpoint.rebuild import data_and_block, keep_image_values, scoring_changes
from lightseg.config.compose import chain, read, show
from lightseg.data import ImageDataModule
from lightseg.data.io.mask_consistency import MaskValues
from lightseg.data.types import Split
from lightseg.errors import ConfigError, DataError, UserError
from lightseg.files.atomic import combined_sha256
from lightseg.runs.diff import count_processes
from lightseg.runs.fingerprint import differ
from lightseg.runs.records import read_record
from lightseg.tasks import Ensemble, Task

_NET_OPTIONS = ("batch_size", "num_workers", "eval_transforms", "value_range", "nodata", "bands")
"""Options of the run's data that belong to the net rather than to the data."""

_EXAMPLE = "write data: {class_path: MaskFolder, init_args: …}"

_TRAINER = ("accelerator", "devices", "num_nodes", "accumulate_grad_batches")
"""Options of the trainer that define how a batch of the training was divided."""


@dataclass(frozen=True)
class TrainedModel:
    """Trained task with its checkpoint and its run.

    Attributes:
        task: The task, in eval mode.
        file: Its checkpoint; of an ensemble, that of the first member.
        run: The run folder of the checkpoint; None if it is in none, and of an ensemble.
        trust: Whether classes outside lightseg that its recipe names may be imported.
        members: The members of an ensemble; empty for a single model.
    """

    task: Task
    file: Path
    run: Path | None
    trust: bool = False
    members: tuple[TrainedModel, ...] = ()

    @classmethod
    def of_runs(cls, runs: Sequence[tuple[Path, Path | None]], trust: bool = False) -> TrainedModel:
        """Return the trained model of a checkpoint, or the ensemble of several.

        Args:
            runs: Each checkpoint and its run folder; see `lightseg.checkpoint.locate.trained_runs`.
            trust: As in `of`.

        Raises:
            UserError: If one of them cannot be loaded.
            ConfigError: If the members do not fit each other.
        """
        members = tuple(cls.of(file, run, trust) for file, run in runs)
        if len(members) == 1:
            return members[0]
        task = loading.combine([member.task for member in members], [member.file for member in members])
        return cls(task, members[0].file, None, trust, members)

    @classmethod
    def of(cls, file: Path, run: Path | None, trust: bool = False) -> TrainedModel:
        """Return the trained model of a checkpoint, see `lightseg.checkpoint.locate.trained_run`.

        Args:
            file: The checkpoint.
            run: The run folder of the checkpoint; None if it is in none.
            trust: Import classes outside lightseg that its recipe names, see `lightseg.load`.

        Raises:
            UserError: If it cannot be loaded.
        """
        task = loading.load(file, trust)
        config = task.recipe["config"]
        lacking = [name for name in ("data", "trainer", "seed_everything") if config.get(name) is None]
        if not lacking:
            trainer = config["trainer"]
            lacking = [f"trainer.{name}" for name in _TRAINER if trainer.get(name) is None]
            # older versions recorded the precision as null
            lacking += ["trainer.precision"] * ("precision" not in trainer)
        if lacking:
            raise UserError(f"{file}: its recipe has no {lacking[0]}, without which it cannot be scored")
        return cls(task, file, run, trust)

    @property
    def config(self) -> dict[str, Any]:
        """Return the resolved config of the training."""
        config: dict[str, Any] = self.task.recipe["config"]
        return config

    @property
    def is_scored(self) -> bool:
        """Return whether it is the checkpoint whose scores its run has recorded."""
        return self.run is not None and self.file == model_file(self.run).resolve()

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 hash of the checkpoint, or of the hashes of the members."""
        return combined_sha256([member.file for member in self.members] or [self.file])

    @property
    def label(self) -> str:
        """Return the path of the checkpoint in its run, or the paths of the members."""
        if self.members:
            return " + ".join(str(member.file) for member in self.members)
        return str(self.file.relative_to(self.run) if self.run else self.file)

    def recorded(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file of the run folder; an empty mapping if it does not exist."""
        return read_record(self.run / name) if self.run and (self.run / name).is_file() else {}

    def is_own(self, fingerprints: Mapping[Split, str]) -> bool:
        """Return whether fingerprints of splits are equal to those of the run, or of the run of each member."""
        if self.members:
            return all(member.is_own(fingerprints) for member in self.members)
        recorded = self.recorded("data.json")
        return not any(differ(recorded.get(split, {}).get("sha256"), value) for split, value in fingerprints.items())

    def require_unseen(self, split: str) -> None:
        """Check that a validation split was held out of the training of every member.

        Args:
            split: Name of the split to score.

        Raises:
            ConfigError: If it is `val`, and the members have different ones, as the folds of a cross-validation do.
        """
        records = [member.recorded("data.json").get("val", {}).get("sha256") for member in self.members]
        if split == "val" and any(differ(records[0], record) for record in records[1:]):
            raise ConfigError(
                "--split val: the members of the ensemble have different ones, and each was trained on those of the "
                "others; take --split test"
            )

    def require_same_colors(self, masks: MaskValues | None) -> None:
        """Check that palettes of masks have the order of those that the net was trained on.

        Args:
            masks: The values that the mask files use; None without files.

        Raises:
            DataError: If a palette index has another color.
        """
        if masks is not None:
            colors = {index: color for index, *color in self.task.recipe.get("mask_colors", [])}
            masks.require_colors(colors, f"the masks that {self.file} was trained on")

    def images_per_pass(self, batch_size: int) -> int:
        """Return the number of images in one forward pass of the training, in each process."""
        if self.members:
            return self.members[0].images_per_pass(batch_size)
        processes = count_processes(self.config, self.recorded("env.json"))
        passes = processes * int(self.config["trainer"]["accumulate_grad_batches"])
        return max(1, batch_size // passes)

    def data(self, file: str | None, args: Sequence[str]) -> tuple[ImageDataModule, dict[str, Any]]:
        """Return the data to score on (those of the run with changed options, or those of a file), and the changes.

        The changes are the options that can change a score, with the new value by key; a change of the content shows in
        its fingerprint.

        Args:
            file: A YAML file with a `data:` block, which replaces that of the run. Of `batch_size`, `num_workers`,
                `eval_transforms`, `value_range`, `nodata` and `bands`, missing options are those of the run, if its
                class has the option.
            args: Options such as `--data.root OTHER`.

        Raises:
            ConfigError: If an option is wrong, or the file has no data block.
            DataError: If the kind, the classes or the channels of the data differ from those of the training.
        """
        config = self.config if file is None else {**self.config, "data": self._block(file)}
        # the user's own file is trusted; the options of the recipe were checked when the task was loaded
        trust, source = self.trust or file is not None, self.file if file is None else None
        data, before, after = data_and_block(config, args, trust, source)
        self._require_fit(data)
        if isinstance(self.task, Ensemble) and not self.task.shares_transforms and _transforms(after):
            raise ConfigError(
                "data.eval_transforms: the members of this ensemble have different ones, which they apply themselves; "
                "leave it out"
            )
        keep_image_values(data, self.task.recipe, after)
        # an option that was added after the run has its default in both
        return data, scoring_changes(before if file is None else self.config["data"], after)

    def _block(self, file: str) -> dict[str, Any]:
        """Return the data block of a file, completed by the options of the run that belong to the net."""
        block = _merged_block(file)
        recorded = self.config["data"].get("init_args") or {}
        options = _options(block["class_path"])
        defaults = {name: recorded[name] for name in _NET_OPTIONS if name in recorded and name in options}
        return {**block, "init_args": {**defaults, **block["init_args"]}}

    def _require_fit(self, data: ImageDataModule) -> None:
        task, name = self.task, type(data).__name__
        if data.kind != task.kind:
            raise DataError(f"{name} is {data.kind} data, but the checkpoint is of a {task.kind}")
        if data.multilabel != task.multilabel:
            states = ("exclude each other", "may overlap")
            raise DataError(
                f"{name}: its classes {states[data.multilabel]}, but those of the checkpoint {states[task.multilabel]}"
            )
        expected, classes = list(task.classes), list(data.classes)
        if expected != classes:
            lacking = ", ".join(label for label in expected if label not in classes)
            additional = ", ".join(label for label in classes if label not in expected)
            differences = [f"lacks {lacking}"] * bool(lacking) + [f"has {additional} in addition"] * bool(additional)
            order = f"has them in another order: {', '.join(classes)}; the checkpoint's is {', '.join(expected)}"
            raise DataError(
                f"data.classes: they must be those of the checkpoint, but {name} {' and '.join(differences) or order}"
            )
        channels = self.task.recipe["in_channels"]
        if data.in_channels != channels:
            raise DataError(f"{name} has {data.in_channels} channels, but the checkpoint was trained on {channels}")


def _transforms(block: Mapping[str, Any]) -> Any:
    return (block.get("init_args") or {}).get("eval_transforms")


def _merged_block(file: str) -> dict[str, Any]:
    """Return the data block of a file and its bases.

    Raises:
        ConfigError: If there is no data block, or its `init_args` are no mapping.
    """
    block: dict[str, Any] = {"init_args": {}}
    for path in chain(file):
        data = read(path).get("data") or {}
        # as in training, the block may be only the name of a class
        data = {"class_path": data} if isinstance(data, str) else data
        if not isinstance(data.get("init_args") or {}, dict):
            raise ConfigError(f"{show(path)}: data: init_args: must hold options (key: value); {_EXAMPLE}")
        if "class_path" in data and data["class_path"] != block.get("class_path"):
            block = {"class_path": data["class_path"], "init_args": {}}
        block["init_args"].update(data.get("init_args") or {})
    if "class_path" not in block:
        raise ConfigError(f"--config {file}: it has no data block; {_EXAMPLE}")
    return block


def _options(class_path: str) -> Container[str]:
    """Return the options of a data module in a user's own file; none if it is no class, which the parser reports."""
    try:
        data_class = pkgutil.resolve_name(class_path if "." in class_path else f"lightseg.data.{class_path}")
        options: list[str] = ArgumentParser().add_class_arguments(data_class, fail_untyped=False)
    except (ImportError, AttributeError, ValueError, TypeError):
        return ()
    return options
