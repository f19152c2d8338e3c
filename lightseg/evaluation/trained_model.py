"""Trained model to evaluate: a checkpoint, the run that it comes from, and the data that it is scored on."""

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
from lightseg.checkpoint.rebuild import data_and_block, scoring_changes
from lightseg.config.compose import chain, read, show
from lightseg.data import ImageDataModule
from lightseg.data.types import Split
from lightseg.errors import ConfigError, DataError, UserError
from lightseg.files.atomic import sha256
from lightseg.runs.fingerprint import differ
from lightseg.runs.records import read_record
from lightseg.tasks import Task

_KEPT = ("batch_size", "num_workers", "eval_transforms", "value_range", "nodata")
"""Options of the run's data that go with the net rather than with the data."""

_EXAMPLE = "write data: {class_path: MaskFolder, init_args: …}"

_TRAINER = ("accelerator", "devices", "num_nodes", "accumulate_grad_batches")
"""Options of the trainer that tell how a batch of the training was shared."""


@dataclass(frozen=True)
class TrainedModel:
    """Trained task and where it comes from.

    Attributes:
        task: The task, in eval mode.
        file: Its checkpoint.
        run: The run folder that the checkpoint is in; None where it is in none.
        trust: Whether the classes of others that it names are run.
    """

    task: Task
    file: Path
    run: Path | None
    trust: bool = False

    @classmethod
    def of(cls, file: Path, run: Path | None, trust: bool = False) -> TrainedModel:
        """Return the subject of a checkpoint, see `lightseg.cli.argv.trained_run`.

        Args:
            file: The checkpoint.
            run: The run folder that it is in.
            trust: Run the classes of others that it names, see `lightseg.load`.

        Raises:
            UserError: If it cannot be loaded.
        """
        task = loading.load(file, trust)
        config = task.recipe["config"]
        lacking = [name for name in ("data", "trainer", "seed_everything") if config.get(name) is None]
        if not lacking:
            trainer = config["trainer"]
            lacking = [f"trainer.{name}" for name in _TRAINER if trainer.get(name) is None]
            # null is the precision of older versions
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
        """Return whether it is the checkpoint that the numbers of its run are about."""
        return self.run is not None and self.file == model_file(self.run).resolve()

    @cached_property
    def sha256(self) -> str:
        """Hash of the checkpoint."""
        return sha256(self.file)

    def recorded(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file of the run folder; an empty mapping where there is none."""
        return read_record(self.run / name) if self.run and (self.run / name).is_file() else {}

    def is_own(self, fingerprints: Mapping[Split, str]) -> bool:
        """Return whether these, of some splits, are those of the run."""
        recorded = self.recorded("data.json")
        return not any(differ(recorded.get(split, {}).get("sha256"), now) for split, now in fingerprints.items())

    def images_per_pass(self, batch_size: int) -> int:
        """Images of a batch of the training that went through the net at once, in each process."""
        trainer, gpus = self.config["trainer"], self.recorded("env.json").get("gpus", [])
        devices = trainer["devices"]
        if isinstance(devices, str) and "," in devices:
            devices = devices.strip(",").split(",")
        if isinstance(devices, list):
            devices = len(devices)
        if str(devices) in ("auto", "-1"):
            devices = len(gpus) if gpus and trainer["accelerator"] != "cpu" else 1
        parts = max(1, int(devices)) * int(trainer["num_nodes"]) * int(trainer["accumulate_grad_batches"])
        return max(1, batch_size // parts)

    def data(self, file: str | None, args: Sequence[str]) -> tuple[ImageDataModule, dict[str, Any]]:
        """Return the data to score on (the run's own, changed by options, or that of a file), and the changes.

        What is other are the options that can change a score, the new value by key; whether the content is the same,
        its fingerprint tells.

        Args:
            file: A YAML file with a `data:` block, which takes the place of the run's. What it leaves open of
                `batch_size`, `num_workers`, `eval_transforms`, `value_range` and `nodata` stays as it is in the run,
                where its class has the option.
            args: Options such as `--data.root OTHER`.

        Raises:
            ConfigError: If an option is wrong, or the file has no data block.
            DataError: If the data is not of the kind, the classes or the channels that the task was trained on.
        """
        config = self.config if file is None else {**self.config, "data": self._block(file)}
        # the user's own file says what to run; what it leaves open has been looked at when the task was loaded
        trust, source = self.trust or file is not None, self.file if file is None else None
        data, before, after = data_and_block(config, args, trust, source)
        self._require_fit(data)
        # an option that is younger than the run has its default in both
        return data, scoring_changes(before if file is None else self.config["data"], after)

    def _block(self, file: str) -> dict[str, Any]:
        block: dict[str, Any] = {}
        for each in chain(file):
            found = read(each).get("data") or {}
            # as in training, where the name of a class may stand alone
            found = {"class_path": found} if isinstance(found, str) else found
            if not isinstance(found.get("init_args") or {}, dict):
                raise ConfigError(f"{show(each)}: data: init_args: must hold options (key: value); {_EXAMPLE}")
            if "class_path" in found and found["class_path"] != block.get("class_path"):
                block = {"class_path": found["class_path"], "init_args": {}}
            block.setdefault("init_args", {}).update(found.get("init_args") or {})
        if "class_path" not in block:
            raise ConfigError(f"--config {file}: it has no data block; {_EXAMPLE}")
        recorded = self.config["data"].get("init_args") or {}
        options = _options(block["class_path"])
        inherited = {name: recorded[name] for name in _KEPT if name in recorded and name in options}
        return {**block, "init_args": {**inherited, **block["init_args"]}}

    def _require_fit(self, data: ImageDataModule) -> None:
        task, name = self.task, type(data).__name__
        if data.kind != task.kind:
            raise DataError(f"{name} is {data.kind} data, but the checkpoint is of a {task.kind}")
        ours, theirs = list(task.classes), list(data.classes)
        if ours != theirs:
            lacking = ", ".join(each for each in ours if each not in theirs)
            beyond = ", ".join(each for each in theirs if each not in ours)
            problems = [f"lacks {lacking}"] * bool(lacking) + [f"has {beyond} beside them"] * bool(beyond)
            order = f"has them in another order: {', '.join(theirs)}; the checkpoint's is {', '.join(ours)}"
            raise DataError(
                f"data.classes: they must be those of the checkpoint, but {name} {' and '.join(problems) or order}"
            )
        channels = self.task.recipe["in_channels"]
        if data.in_channels != channels:
            raise DataError(f"{name} has {data.in_channels} channels, but the checkpoint was trained on {channels}")


def _options(class_path: str) -> Container[str]:
    """Return the options of a data module in a user's own file; none where it names no class, which the parser says."""
    try:
        kind = pkgutil.resolve_name(class_path if "." in class_path else f"lightseg.data.{class_path}")
        options: list[str] = ArgumentParser().add_class_arguments(kind, fail_untyped=False)
    except (ImportError, AttributeError, ValueError, TypeError):
        return ()
    return options
