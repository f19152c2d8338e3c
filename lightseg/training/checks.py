"""Checks before training: data and net fit each other, and the checkpoint can be loaded again."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import lightning as L
from pydantic import ValidationError

from lightseg.checkpoint import rebuild
from lightseg.checkpoint.validation import require_tensors
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.config.plain_data import plain
from lightseg.config.recipe_schema import RECIPE
from lightseg.config.schema import describe_violation
from lightseg.data import ImageDataModule
from lightseg.data.datasets.file_copies import find_copies
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.datasets.unread_files import describe_unread, unread_files
from lightseg.data.io.image_values import AS_STORED
from lightseg.data.loading.collate import stack
from lightseg.data.loading.loaders import require_known_order
from lightseg.data.types import SPLITS, Batch, ClassCounts, Split
from lightseg.diagnosis.first_samples import NUMBER, first_samples, remarks, require_own_ids
from lightseg.errors import ConfigError, UserError, require
from lightseg.files.evenly_spaced import spread
from lightseg.files.printable import warn
from lightseg.metrics.absent_classes import absent
from lightseg.tasks import Task
from lightseg.tasks.multilabel import MultilabelTask
from lightseg.tasks.optimizer_trial import check_scheduler
from lightseg.tasks.preflight import fits, try_loss
from lightseg.tasks.training_length import check_lengths, check_shares, check_weighting
from lightseg.training.flops import measure_cost

_FEW_POSITIVES = 10
"""Number of positive images below which a threshold overfits."""


def check_run(cli: LightsegCLI, trainer: L.Trainer, lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Check the data, adapt the task to it, and check that they fit each other.

    Args:
        cli: The parsed recipe; its task gets the recipe that checkpoints carry.
        trainer: The trainer.
        lineage: Records of the trained models that it starts from, for the checkpoints.

    Returns:
        The cost of the net, as `measure_cost` returns it.

    Raises:
        UserError: If the data is damaged, or does not fit the net or the trainer.
    """
    data, task = cli.datamodule, cli.model
    _check_data(data, task, trainer)
    if isinstance(task, MultilabelTask) and task.fits_thresholds:
        _warn_of_few_positives(data)
    samples = first_samples(data)
    require_own_ids(data, samples)
    task.configure_from_data(data)
    _set_recipe(task, data, cli.resolved_values(), lineage)
    for remark in remarks(data, samples, task.resolved["mean"], task.resolved["std"]):
        warn(remark)
    sample = data.train_sample()
    with task.adapters.require_calls(), fits(task, sample):
        cost = measure_cost(task, sample)
    try_loss(task, sample["target"])
    if data.kind == "classification":
        _check_val_sizes(task, data, sample)
    _require_storable(task)
    # a task that cannot be built from its recipe could not be loaded after the training
    rebuild.build_task({**task.recipe, "resolved": task.resolved}, "the checkpoint of this recipe", trust=True)
    return cost


def _check_data(data: ImageDataModule, task: Task, trainer: L.Trainer) -> None:
    data.prepare_data()
    _warn_of_absent_classes(data, data.check())
    _warn_of_copies(data)
    _warn_of_unread_files(data)
    data.decode(trainer)
    samples = data.check_training()
    if data.check_batch_size(trainer.world_size, trainer.accumulate_grad_batches) > 1:
        stack(samples)
    loader = data.train_dataloader()
    require_known_order(loader, type(data).__name__)
    check_lengths(trainer, data, len(loader))
    check_weighting(task, trainer, len(loader))
    check_shares(task, trainer, len(loader))
    check_scheduler(task, trainer, len(loader))
    if data.mixing:
        # Lightning replaces the sampler, which pairs the images
        overfits = trainer.overfit_batches  # type: ignore[attr-defined]
        require(not overfits, f"trainer.overfit_batches: no images are mixed then; leave it or {data.mixing} out")
        task.loss.check_mixing()


def _check_val_sizes(task: Task, data: ImageDataModule, sample: Batch) -> None:
    """Check that a classifier, which may be for one size, takes a few validation images of other sizes.

    Raises:
        ConfigError: If it does not.
    """
    tried = {sample["image"].shape}
    for index in spread(NUMBER, len(data.dataset("val"))):
        batch = data.eval_batch(index, "val")
        if batch["image"].shape not in tried:
            tried.add(batch["image"].shape)
            with fits(task, batch):
                measure_cost(task, batch)


def _set_recipe(task: Task, data: ImageDataModule, config: dict[str, Any], lineage: Mapping[str, Any]) -> None:
    """Give a task the recipe that its checkpoints carry, and check that they can be read."""
    values = None if data.image_values == AS_STORED else data.image_values.to_record()
    masks = data.mask_values()
    colors = masks.colors if masks else None
    task.recipe = rebuild.make_recipe(config, data.classes, data.in_channels, data.palette, values, colors, lineage)
    _require_loadable({**task.recipe, "resolved": task.resolved})


def _require_storable(task: Task) -> None:
    """Check that the weights of a task can be loaded from a checkpoint; a net may add any state to them.

    Raises:
        ConfigError: If one cannot; the message has its name.
    """
    try:
        require_tensors(task.state_dict(), "model.net")
    except UserError as error:
        raise ConfigError(f"{_reason(error)}, so it could not be loaded; keep only tensors in a net's state") from None


def _reason(error: UserError) -> str:
    """Return a message of a reader of files without its end about the file."""
    return str(error).removesuffix("; the file is damaged")


def _require_loadable(recipe: dict[str, Any]) -> None:
    """Check that the reader of checkpoints accepts a recipe.

    Raises:
        ConfigError: If not; the message has the key.
    """
    for key, value in _leaves(recipe, ()):
        try:
            plain(value, _option(key))
        except UserError as error:
            raise ConfigError(f"{_reason(error)}, which a checkpoint cannot hold; give another value") from None
    try:
        RECIPE.validate_python(plain(recipe, "the recipe"))
    except ValidationError as error:
        path, reason = describe_violation(error)
        raise ConfigError(f"{_option(path)}: {reason}; a checkpoint with it could not be loaded") from None


def _leaves(value: Any, key: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the values of nested mappings and lists, each with its path."""
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*key, name))
    else:
        yield key, value


def _option(key: Iterable[Any]) -> str:
    """Return a path in the recipe of a checkpoint as an option of `fit`, such as `model.std`."""
    path = ".".join(name for name in map(str, key) if name not in ("config", "init_args"))
    return path.replace("resolved.", "model.")


def _warn_of_absent_classes(data: ImageDataModule, class_counts: Mapping[Split, ClassCounts]) -> None:
    """Warn of classes that a split lacks: training cannot learn them, and a score says nothing about them."""
    unit = "pixel" if data.kind == "segmentation" else "sample"
    for split, counts in class_counts.items():
        if names := absent(counts, data.classes):
            consequence = "it cannot be learned"
            if split != "train":
                consequence = f"{split} does not tell how well it is found; python -m lightseg.doctor has a remedy"
            warn(f"no {unit} of {split} is {' or '.join(names)}: {consequence}")


def _warn_of_few_positives(data: ImageDataModule) -> None:
    """Warn of classes that so few images of val have that a threshold may fit these alone."""
    positives = (data.class_table("val")[:, : len(data.classes)] > 0).sum(0).tolist()
    few = {name: count for name, count in zip(data.classes, positives, strict=True) if 0 < count < _FEW_POSITIVES}
    if few:
        counts = ", ".join(f"{count} of {name}" for name, count in few.items())
        warn(
            f"thresholds are fitted on few positive images of val: {counts}; they may fit these alone, and raise their "
            "score; enlarge val, or set model.thresholds: 0.5"
        )


def _warn_of_unread_files(data: ImageDataModule) -> None:
    """Warn of images that are skipped, since their format is not read."""
    if files := unread_files(data.dataset(split) for split in SPLITS):
        warn(
            f"images of formats that are not read are skipped: {describe_unread(files)}; convert them to PNG, JPEG or "
            "TIFF to use them"
        )


def _warn_of_copies(data: ImageDataModule) -> None:
    """Warn of images of `val` and `test` that are copies of training images, whose scores are too good."""
    train = data.dataset("train")
    for split in ("val", "test"):
        dataset = data.dataset(split)
        # folds are pools, whose samples have different names
        if not isinstance(train, FileDataset) or not isinstance(dataset, FileDataset):
            continue
        if copies := find_copies(train, dataset):
            name, original = copies[0]
            warn(
                f"{len(copies)} of {len(dataset)} images of {split} are copies of training images, such as {name} of "
                f"{original}: {split} does not test the net by them; python -m lightseg.doctor lists them"
            )
