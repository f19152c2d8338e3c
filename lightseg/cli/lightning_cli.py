"""Command line of `fit`: one parser over task, net, data and trainer, typed by their constructors."""

from __future__ import annotations

import inspect
import pkgutil
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightseg.cli.messages import require_known_sections
from lightseg.cli.parser import ConfigAction, Parser, warn_of_dropped_callbacks
from lightseg.cli.trainer_options import Trainer, set_length
from lightseg.config.class_errors import is_user_code, without_usage

# imported so that the parser finds data modules, nets and tasks by their names
from lightseg.data import ImageDataModule
from lightseg.errors import ConfigError
from lightseg.files.atomic import expand_home, require_no_broken_link
from lightseg.files.printable import printable, printable_line
from lightseg.hardware.devices import (
    PrecisionChoice,
    check_precision,
    choose_precision,
    keep_precision,
    require_accelerator,
    require_precision_name,
    training_device,
)
from lightseg.hardware.precision_names import AUTO, FLOAT32, canonical_precision
from lightseg.optim.schedules import Schedule, WarmupCosine
from lightseg.runs import folder
from lightseg.runs.records import read_precision
from lightseg.tasks import Task
from lightseg.tasks.optimizer_trial import try_optimizer, try_schedule, try_scheduler

_CLASSES_OF = {
    "optimizer": "an optimizer; name a class of torch.optim",
    "schedule": "a schedule; name a class of lightseg.optim or torch.optim.lr_scheduler",
}


class LightsegCLI(LightningCLI):
    """Parser of a recipe that builds its data and its task; the trainer is made later.

    Args:
        args: The command line, without the program's name.

    Raises:
        ConfigError: If an option is unknown, has the wrong type, or contradicts another.
    """

    def __init__(self, args: list[str]) -> None:
        self._resolved: tuple[str, dict[str, Any]] | None = None
        super().__init__(
            Task,
            ImageDataModule,
            args=args,
            run=False,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_class=Trainer,
            parser_class=Parser,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            save_config_callback=None,
            # the samplers of lightseg shard themselves; small data needs frequent logging
            trainer_defaults={
                "use_distributed_sampler": False,
                "log_every_n_steps": 10,
                "enable_model_summary": False,
                "sync_batchnorm": torch.cuda.is_available(),
            },
        )

    parser: Parser

    def init_parser(self, **kwargs: Any) -> Parser:
        """Return the parser, with `--config` and `base`."""
        parser = Parser(**kwargs)
        parser.add_argument("-c", "--config", action=ConfigAction, help="A recipe or overlay; later ones win.")
        parser.add_argument("--base", type=list[str] | str | None, help="In a file: the files applied before it.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run, and link task and net to the classes and channels of the data."""
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder that holds the run folders.")
        parser.add_argument("--name", type=str | None, help="Name of the experiment; the recipe's if left out.")
        parser.add_argument(
            "--group", type=str | None, help="Group of the run; those of --seeds and --folds share one."
        )
        parser.add_argument("--resume", type=str | None, help="Run folder of a killed or stopped run to go on with.")
        parser.add_argument("--extend", type=str | None, help="Run folder of a finished run to train longer.")
        parser.add_argument("--save_every_n_steps", type=int | None, help="Also save the state every so many steps.")
        parser.add_argument("--save_every_minutes", type=float | None, default=10.0, help="Likewise, in minutes.")
        parser.add_argument(
            "--trust", action="store_true", help="Run classes that the model of model.teacher names, such as its net."
        )
        parser.link_arguments("data.classes", "model.init_args.classes", apply_on="instantiate")
        parser.link_arguments("data.num_classes", "model.init_args.net.init_args.num_classes", apply_on="instantiate")
        parser.link_arguments("data.in_channels", "model.init_args.net.init_args.in_channels", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments and check the options outside of classes.

        Raises:
            ConfigError: If a value is wrong.
        """
        # the inherited method warns when sys.argv is not empty, as in a program that passes its arguments on
        with without_usage():
            self.config = parser.parse_args(args)
        if not isinstance(self.config.trainer, Namespace):
            raise ConfigError(f"trainer: must hold options, as in --trainer.max_epochs 5, got {self.config.trainer}")
        for file in self.parser.files:
            require_known_sections(file, self.config)
        if self.parser.composed is not None:
            before = self.parser.composed.get("trainer.callbacks")
            warn_of_dropped_callbacks(before, self.config.trainer.callbacks, "the command line")
        for key, value in list(self.config.items()):
            # jsonargparse turns a null of such an option into text
            if value == "None":
                self.config[key] = None
            elif isinstance(value, str | list | dict):
                self.config[key] = expand_home(value)
        for option in ("resume", "extend"):
            if self.config[option] == "":
                raise ConfigError(f"{option}: the value is empty; give a run folder, or leave it out")
        seed = self.config.seed_everything
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise ConfigError(f"seed_everything: {seed} is not a seed; give a whole number from 0 to {2**32 - 1}")

    def before_instantiate_classes(self) -> None:
        """Check and complete the config before anything is built.

        Raises:
            ConfigError: If a part is not given, or options contradict each other.
        """
        trainer = self.config.trainer
        for section in ("model", "data"):
            if self.config[section] is None:
                raise ConfigError(f"{section}: not given; name a class, or a block of configs/")
        self.config.name = self.config.name or self.parser.recipe or "fit"
        folder.require_name(self.config.name)
        require_no_broken_link(Path(self.config.runs_dir) / self.config.name, "--runs_dir")
        for option in ("save_every_n_steps", "save_every_minutes"):
            value = self.config[option]
            if value is not None and not value > 0:
                raise ConfigError(f"{option}: must be > 0, got {value}; set null to turn it off")
        trainer.precision = canonical_precision(trainer.precision)
        require_precision_name(trainer.precision, "trainer.precision")
        if training_device(trainer.accelerator, trainer.devices).type == "cpu":
            # there is no synchronized batch normalization for CPUs
            trainer.sync_batchnorm = False
        set_length(trainer)

    def instantiate_classes(self) -> None:
        """Choose the precision, then build data, net and task."""
        self._set_precision()
        optimizer_class = self._class_of("optimizer", torch.optim.AdamW, torch.optim.Optimizer)
        scheduler_class = self._class_of("schedule", WarmupCosine, Schedule, LRScheduler)
        self.config_init = self.parser.build(self.config)
        self.datamodule, self.model = self.config_init.data, self.config_init.model
        self.datamodule.seed = self.config.seed_everything
        self._check_data_facts()
        optimizer = self.config.model.init_args.optimizer
        try_optimizer(self.model, optimizer_class, vars(optimizer.init_args) if optimizer else {})
        self._try_schedule(scheduler_class)

    def _try_schedule(self, scheduler_class: Any) -> None:
        """Try the schedule.

        Args:
            scheduler_class: Class of the schedule, or a function of a user that makes it.

        Raises:
            ConfigError: If it does not fit the training.
        """
        schedule, trainer = self.config.model.init_args.schedule, self.config.trainer
        options = vars(schedule.get("init_args", Namespace())) if schedule else {}
        scheduler = try_scheduler(self.model, scheduler_class, options)
        if isinstance(self.model.schedule, Schedule):
            try_schedule(self.model.schedule)
        # 1 would be every batch
        is_usual = trainer.val_check_interval is None or str(trainer.val_check_interval) == "1.0"
        if isinstance(scheduler, ReduceLROnPlateau) and not (is_usual and trainer.check_val_every_n_epoch):
            raise ConfigError(
                "trainer.val_check_interval: ReduceLROnPlateau follows the validation at the end of an epoch; leave "
                "val_check_interval and check_val_every_n_epoch out"
            )

    def _class_of(self, option: str, default: type, *bases: type) -> Any:
        """Return what the recipe names as optimizer or schedule: a class, or a function of a user.

        Args:
            option: Option of the task.
            default: Class that stands for null.
            bases: Classes of which it must be a subclass.

        Raises:
            ConfigError: If it is anything else, which must not be called.
        """
        value = self.config.model.init_args[option]
        if value is None:
            return default
        kind = pkgutil.resolve_name(value.class_path)
        is_user_function = inspect.isfunction(kind) and is_user_code(kind.__code__.co_filename)
        if not is_user_function and not (inspect.isclass(kind) and issubclass(kind, bases)):
            raise ConfigError(f"model.{option}: {value.class_path} is not {_CLASSES_OF[option]}")
        return kind

    def take_precision(self, choice: PrecisionChoice) -> None:
        """Replace the precision that `auto` stood for; the trainer has to be made again afterwards.

        Args:
            choice: The precision of all processes.
        """
        self.precision = choice
        self.config.trainer.precision = self.config_init.trainer.precision = choice.precision
        self._resolved = None

    def resolved_config(self) -> str:
        """Return the resolved config as YAML, defaults included; it can be run again as it is."""
        return self._resolve()[0]

    def resolved_values(self) -> dict[str, Any]:
        """Return the resolved config as plain data, as its YAML has it."""
        return self._resolve()[1]

    def _resolve(self) -> tuple[str, dict[str, Any]]:
        """Return the resolved config as YAML and as plain data; it is resolved once."""
        if self._resolved is None:
            config = self.config.clone()
            # the bases have been applied
            config.pop("base", None)
            # each command states it anew
            config.pop("trust", None)
            # a null that the recipe states differs from the default of a class
            text = str(self.parser.dump(config, skip_unset=False))
            self._resolved = text, yaml.safe_load(text)
        return self._resolved

    def _set_precision(self) -> None:
        """Replace `auto` in the config by a precision: that of a resumed run, or the choice for this device."""
        trainer = self.config.trainer
        self.has_auto_precision = trainer.precision == AUTO
        try:
            self.precision = self._choose_precision()
        except ConfigError:
            # a device that is missing is the reason for a precision that is
            require_accelerator(trainer.accelerator)
            raise
        if self.has_auto_precision and self.precision.precision == "16-mixed" and _is_sharded(trainer.strategy):
            self.precision = PrecisionChoice(FLOAT32, "FSDP has no 16-mixed")
        trainer.precision = self.precision.precision
        self._resolved = None

    def _choose_precision(self) -> PrecisionChoice:
        """Return the precision of a resumed run, the stated one, or the choice for this device."""
        trainer, resume = self.config.trainer, self.config.resume
        device = training_device(trainer.accelerator, trainer.devices)
        run_precision = None if resume is None else read_precision(Path(resume))
        if run_precision is not None and trainer.precision in (AUTO, run_precision):
            return keep_precision(run_precision, device, resume)
        if self.has_auto_precision:
            return choose_precision(device)
        return check_precision(trainer.precision, device)

    def _check_data_facts(self) -> None:
        """Check that classes and channels in the recipe agree with the data; a link would silently ignore them."""
        if self.model.kind != self.datamodule.kind:
            raise ConfigError(
                f"{type(self.model).__name__} cannot learn from {type(self.datamodule).__name__}: that is "
                f"{self.datamodule.kind} data, as its attribute `kind` states; take the other kind of task or of data"
            )
        if self.model.multilabel != self.datamodule.multilabel:
            overlap = ("exclude each other", "may overlap")[self.datamodule.multilabel]
            task = type(self.model).__name__.removeprefix("Multilabel").replace("Binary", "")
            name = f"Multilabel{task}" if self.datamodule.multilabel else task
            raise ConfigError(
                f"{type(self.model).__name__} cannot learn from {type(self.datamodule).__name__}: the classes of that "
                f"{overlap}, as its attribute `multilabel` states; take {name}"
            )
        for name in self.datamodule.classes:
            if printable(name) != name or set(name) & set("\t\n"):
                raise ConfigError(f"data.classes: '{printable_line(name)}' holds control characters; leave them out")
        net = self.config.model.init_args.net.get("init_args", Namespace())
        parameters = inspect.signature(type(self.model.net)).parameters
        facts = {"num_classes": self.datamodule.num_classes, "in_channels": self.datamodule.in_channels}
        for name, fact in facts.items():
            value = net.get(name)
            if value not in (None, fact) and value != parameters[name].default:
                raise ConfigError(
                    f"model.net.{name}: {value}, but the data has {fact}; leave it out, it follows the data"
                )
        classes = self.config.model.init_args.get("classes")
        if classes not in (None, self.datamodule.classes):
            raise ConfigError("model.classes: differ from the data's; leave them out, they follow the data")


def _is_sharded(strategy: Any) -> bool:
    """Return whether a strategy in a config is FSDP."""
    name = strategy if isinstance(strategy, str) else getattr(strategy, "class_path", "")
    return "fsdp" in str(name).lower()
