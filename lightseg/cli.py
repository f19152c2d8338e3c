"""The command line: one parser over task, net, data and trainer, typed by their constructors."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import lightning as L
import torch
from jsonargparse import ActionConfigFile, Namespace
from jsonargparse._util import import_object
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightseg import run, variables
from lightseg.blame import describe_failed_class, find_key, is_user_code, reason
from lightseg.callbacks.bar import Bar
from lightseg.checkpoint import CheckpointFiles
from lightseg.cli_errors import explain, require_known_sections
from lightseg.compose import chain, show

# the names of data modules, nets and tasks are choices: a class is found by its name once it has been imported
from lightseg.data import ImageDataModule
from lightseg.devices import (
    AUTO,
    FLOAT32,
    KEPT,
    PrecisionChoice,
    check_precision,
    choose_precision,
    require_kept,
    training_device,
)
from lightseg.errors import ConfigError
from lightseg.files import expand_home, require_no_broken_link
from lightseg.nets.room import require_room
from lightseg.preflight import try_optimizer, try_schedule
from lightseg.resume import begun_precision
from lightseg.strategies import exchange_in_place
from lightseg.tasks import Task
from lightseg.tasks.compilation import check_graphs
from lightseg.text import printable, printable_line
from lightseg.trainer_options import Trainer, check_callback, check_launcher, check_monitor, set_length


class _Config(ActionConfigFile):
    """`--config FILE`: applies the file's bases, then the file."""

    @staticmethod
    def apply_config(parser: Parser, cfg: Namespace, dest: str, value: str) -> None:
        files = chain(value)
        parser.recipe = parser.recipe or files[-1].stem
        parser.files += files
        for file in files:
            before = cfg.get("trainer.callbacks")
            # jsonargparse changes into the file's folder while it reads
            parser.reading = show(file)
            ActionConfigFile.apply_config(parser, cfg, dest, str(file))
            # has been followed; in a saved config it would be followed again, from another folder
            cfg["base"] = None
            parser.composed = cfg
            _say_what_is_dropped(before, cfg.get("trainer.callbacks"), show(file))
        parser.reading = None


class Parser(LightningArgumentParser):
    """Says in a line or two what is wrong, in which file, and what was probably meant."""

    reading: str | None = None
    """The file that is being applied."""
    composed: Namespace | None = None
    """The config as the files make it."""
    recipe: str = ""
    """The name of the first `--config`: the recipe; those after it are overlays."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        self.files: list[Path] = []
        self.built: list[tuple[str, Any]] = []
        """The objects of the config, each with the key that names it."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what argparse would print and exit with."""
        if isinstance(ex, ConfigError):
            raise ex
        if not self.exit_on_error:
            # a parser inside the parser, for one class: its words become a part of the message
            super().error(message, ex)
        raise ConfigError(explain(message, self.composed, self.reading, self.files)) from None

    def build(self, config: Namespace) -> Namespace:
        """Build the objects of a config.

        Raises:
            ConfigError: If the constructor of a library class refuses what it is given; one of the user's raises as it
                does without lightseg.
        """
        is_building = True
        self.built = []

        def build_one(class_type: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            try:
                require_room(class_type, kwargs)
                made = class_type(*args, **kwargs)
                if is_building:
                    self.built.append((find_key(config, class_type, kwargs), made))
                return made
            except Exception as error:
                if not is_building:
                    # of an optimizer, which is made later
                    raise
                key = find_key(config, class_type, kwargs)
                raise _Escape(describe_failed_class(error, class_type, kwargs, key) or error) from None

        try:
            built: Namespace = self.instantiate(config, instantiators=[(build_one, object, True)])
        except _Escape as escape:
            raise escape.error from None
        finally:
            is_building = False
        return built


class _Escape(BaseException):
    """Carries an exception out of jsonargparse, which would turn it into a page about types."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class LightsegCLI(LightningCLI):
    """Parses a recipe and builds its data and its task; the trainer is made later, when the run folder exists.

    Args:
        args: The command line, without the program's name.

    Raises:
        ConfigError: If an option is unknown, has the wrong type, or contradicts another.
    """

    def __init__(self, args: list[str]) -> None:
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
            # samplers shard themselves, and a step is logged often enough for small data
            trainer_defaults={
                "use_distributed_sampler": False,
                "log_every_n_steps": 10,
                "enable_model_summary": False,
                "sync_batchnorm": torch.cuda.is_available(),
            },
        )

    parser: Parser

    def init_parser(self, **kwargs: Any) -> Parser:
        """The parser, with `--config` and `base`."""
        parser = Parser(**kwargs)
        parser.add_argument("-c", "--config", action=_Config, help="A recipe or overlay; later ones win.")
        parser.add_argument("--base", type=list[str] | str | None, help="In a file: the files applied before it.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options of a run, and the facts of the data that task and net follow."""
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder that holds the run folders.")
        parser.add_argument("--name", type=str | None, help="Name of the experiment; the recipe's if left out.")
        parser.add_argument(
            "--group", type=str | None, help="Group of the run; those of --seeds and --folds share one."
        )
        parser.add_argument("--resume", type=str | None, help="Run folder of a killed or stopped run to go on with.")
        parser.add_argument("--save_every_n_steps", type=int | None, help="Also save the state every so many steps.")
        parser.add_argument("--save_every_minutes", type=float | None, default=10.0, help="Likewise, in minutes.")
        parser.link_arguments("data.classes", "model.init_args.classes", apply_on="instantiate")
        parser.link_arguments("data.num_classes", "model.init_args.net.init_args.num_classes", apply_on="instantiate")
        parser.link_arguments("data.in_channels", "model.init_args.net.init_args.in_channels", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and nothing else."""
        # the inherited one warns when sys.argv is not empty, as it is not in a program that passes its arguments on
        self.config = parser.parse_args(args)
        if not isinstance(self.config.trainer, Namespace):
            raise ConfigError(f"trainer: must hold options, as in --trainer.max_epochs 5, got {self.config.trainer}")
        for file in self.parser.files:
            require_known_sections(file, self.config)
        if self.parser.composed is not None:
            before = self.parser.composed.get("trainer.callbacks")
            _say_what_is_dropped(before, self.config.trainer.callbacks, "the command line")
        for key, value in list(self.config.items()):
            # a null for an option inside a class arrives there as text
            if value == "None":
                self.config[key] = None
            elif isinstance(value, str | list | dict):
                self.config[key] = expand_home(value)
        seed = self.config.seed_everything
        if isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise ConfigError(f"seed_everything: {seed} is not a seed; give a whole number from 0 to {2**32 - 1}")

    def before_instantiate_classes(self) -> None:
        """Check and complete what can be known before anything is built."""
        trainer = self.config.trainer
        for section in ("model", "data"):
            if self.config[section] is None:
                raise ConfigError(f"{section}: not given; name a class, or a block of configs/")
        self.config.name = self.config.name or self.parser.recipe or "fit"
        run.require_name(self.config.name)
        require_no_broken_link(Path(self.config.runs_dir) / self.config.name, "--runs_dir")
        for option in ("save_every_n_steps", "save_every_minutes"):
            value = self.config[option]
            if value is not None and not value > 0:
                raise ConfigError(f"{option}: {value} will not do; give more than 0, or null to leave it out")
        if training_device(trainer.accelerator, trainer.devices).type == "cpu":
            # there is none for the CPU
            trainer.sync_batchnorm = False
        set_length(trainer)

    def instantiate_classes(self) -> None:
        """Choose the precision, then build data, net and task."""
        self._set_precision()
        kind = self._optimizer_class()
        self.config_init = self.parser.build(self.config)
        self.datamodule, self.model = self.config_init.data, self.config_init.model
        self.datamodule.seed = self.config.seed_everything
        self._check_facts()
        optimizer = self.config.model.init_args.optimizer
        try_optimizer(self.model, kind, vars(optimizer.init_args) if optimizer else {})
        try_schedule(self.model.schedule)

    def _optimizer_class(self) -> Any:
        """Return the class that the recipe names as its optimizer.

        Raises:
            ConfigError: If it is something else, which must not be called.
        """
        stated = self.config.model.init_args.optimizer
        if stated is None:
            return torch.optim.AdamW
        kind = import_object(stated.class_path)
        is_own_function = inspect.isfunction(kind) and is_user_code(kind.__code__.co_filename)
        if not is_own_function and not (inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)):
            raise ConfigError(f"model.optimizer: {stated.class_path} is not an optimizer; name a class of torch.optim")
        return kind

    def make_trainer(self, first: list[L.Callback], callbacks: list[L.Callback], loggers: list[Any]) -> L.Trainer:
        """The trainer of the recipe, with what every run has beside what the recipe asks for.

        Args:
            first: Callbacks before those of the recipe.
            callbacks: Callbacks after them.
            loggers: Loggers.

        Raises:
            ConfigError: If this machine cannot do what the recipe asks for.
        """
        config = self.config_init.trainer
        for callback in _as_list(config.callbacks):
            check_monitor(callback, self.model, _as_list(config.callbacks))
            check_callback(callback, config.strategy)
        check_graphs(self.model.compiled, config.accumulate_grad_batches)
        # a bar on a terminal; where the output goes to a file, the lines of EpochLines do
        bar = sys.stdout.isatty() if config.enable_progress_bar is None else config.enable_progress_bar
        asked = config.logger if isinstance(config.logger, list) else [config.logger]
        own = any(isinstance(callback, ProgressBar) for callback in _as_list(config.callbacks))
        callbacks = [*callbacks, Bar()] if bar and not own else callbacks
        loggers = loggers + [logger for logger in asked if not isinstance(logger, bool | None)]
        try:
            trainer: L.Trainer = self.instantiate_trainer(
                callbacks=[*first, *_as_list(config.callbacks), *callbacks],
                logger=loggers,
                enable_progress_bar=bar,
                plugins=[*_as_list(config.plugins), CheckpointFiles()],
                default_root_dir=config.default_root_dir or str(Path(self.config.runs_dir) / self.config.name),
            )
        except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
            raise ConfigError(f"trainer: {reason(error)}") from error
        except KeyError as error:
            raise variables.missing(error) or error from None
        check_launcher(trainer, config.strategy)
        if trainer.overfit_batches and trainer.world_size > 1:  # type: ignore[attr-defined]
            raise ConfigError(
                "trainer.overfit_batches: every process would get the same batches; set trainer.devices: 1"
            )
        exchange_in_place(trainer.strategy)
        environment = trainer._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment):
            # it would save and queue in its own way, and load what another program left
            environment.auto_requeue = False
        return trainer

    def take_precision(self, precision: str, reason: str) -> None:
        """Train in another precision than the one that `auto` stood for here; the trainer is made anew afterwards."""
        self.precision = PrecisionChoice(precision, reason)
        self.config.trainer.precision = self.config_init.trainer.precision = precision

    def resolved_config(self) -> str:
        """The whole config as YAML, defaults included; it runs again as it is."""
        config = self.config.clone()
        # has been followed
        config.pop("base", None)
        # a null that the recipe states is not what a class takes by default
        return str(self.parser.dump(config, skip_unset=False))

    def _set_precision(self) -> None:
        """Put what `auto` stands for into the config: a run that goes on keeps what it was begun with."""
        trainer = self.config.trainer
        device = training_device(trainer.accelerator, trainer.devices)
        self.has_auto_precision = trainer.precision == AUTO
        begun = None if self.config.resume is None else begun_precision(Path(self.config.resume))
        if begun is not None:
            require_kept(begun, device, self.config.resume)
        if not self.has_auto_precision:
            self.precision = check_precision(trainer.precision, device)
            return
        self.precision = PrecisionChoice(begun, KEPT) if begun is not None else choose_precision(device)
        if self.precision.precision == "16-mixed" and _is_sharded(trainer.strategy):
            self.precision = PrecisionChoice(FLOAT32, "FSDP has no 16-mixed")
        trainer.precision = self.precision.precision

    def _check_facts(self) -> None:
        """A fact of the data that the recipe states too must agree with the data; a link would ignore it in silence."""
        if self.model.kind != self.datamodule.kind:
            raise ConfigError(
                f"{type(self.model).__name__} cannot learn from {type(self.datamodule).__name__}: "
                f"that is {self.datamodule.kind} data"
            )
        for name in self.datamodule.classes:
            if printable(name) != name or set(name) & set("\t\n"):
                raise ConfigError(f"data.classes: '{printable_line(name)}' holds control characters; leave them out")
        net = self.config.model.init_args.net.get("init_args", Namespace())
        parameters = inspect.signature(type(self.model.net)).parameters
        facts = {"num_classes": self.datamodule.num_classes, "in_channels": self.datamodule.in_channels}
        for name, fact in facts.items():
            stated = net.get(name)
            if stated not in (None, fact) and stated != parameters[name].default:
                raise ConfigError(
                    f"model.net.{name}: {stated}, but the data has {fact}; leave it out, it follows the data"
                )
        classes = self.config.model.init_args.get("classes")
        if classes not in (None, self.datamodule.classes):
            raise ConfigError("model.classes: differ from the data's; leave them out, they follow the data")


def _is_sharded(strategy: Any) -> bool:
    """Return whether a strategy in a config is FSDP."""
    name = strategy if isinstance(strategy, str) else getattr(strategy, "class_path", "")
    return "fsdp" in str(name).lower()


def _say_what_is_dropped(before: Any, after: Any, source: str) -> None:
    """Name the callbacks that a file or the command line has replaced, since a list is replaced as one."""
    kept = [_class_name(block) for block in _as_list(after)]
    dropped = [name for name in map(_class_name, _as_list(before)) if name not in kept]
    if dropped:
        print(
            f"{source}: trainer.callbacks replaces {', '.join(dropped)} of the files before; write `callbacks+:` in a "
            "file, or --trainer.callbacks+=NAME, to add to them",
            file=sys.stderr,
            flush=True,
        )


def _class_name(block: Any) -> str:
    return str(block.get("class_path") if isinstance(block, dict | Namespace) else block).rpartition(".")[2]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
