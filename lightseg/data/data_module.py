"""Base of all data modules: splits, loaders, a global batch size, class counts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from lightseg.data.dataset import ImageDataset, cached_class_table, require_dataset, require_valid
from lightseg.data.device_transforms import DeviceTransform
from lightseg.data.folds import as_fold, pooled, split_by_fold
from lightseg.data.io.images import AS_STORED, ImageValues
from lightseg.data.loading.build import (
    DistributedInfo,
    evaluation_loader,
    per_process_batch_size,
    training_loader,
)
from lightseg.data.loading.collate import (
    Batch,
    TransformedDataset,
    check_repeatable,
    default_workers,
    stack,
    stack_training,
)
from lightseg.data.loading.decoded_cache import is_multi_epoch, map_decoded
from lightseg.data.loading.loaders import Loader, TrackedDataset
from lightseg.data.loading.on_device import DeviceDataset, check_on_device_options
from lightseg.data.loading.sample_weights import Scheme, check_options, draw_weights
from lightseg.data.palette import default_palette
from lightseg.data.sample_index import SampleIndex
from lightseg.data.transforms.augmentation import Augmentation
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import SPLITS, ClassCounts, Split, Transform
from lightseg.errors import ConfigError, DataError, require
from lightseg.files.atomic import expand_home
from lightseg.runs.fingerprint import add_labels

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

MOST_WORKERS = 512
"""The most loading processes of a training process; far more than any machine has cores for."""


class ImageDataModule(L.LightningDataModule, ABC):
    """Base of all data: a subclass says what its classes are and makes the dataset of a split.

    Args:
        root: Folder that holds the data.
        batch_size: Samples per optimiser step over all processes and accumulated batches: a recipe means the same on
            one GPU and on eight.
        num_workers: Processes that load data, per training process; left out, it follows the machine's cores.
        sampling: Draw training samples with rare classes more often: every class as often as the others
            (`class_balanced`), half way to that (`square_root`), or only the rarer half of the classes more often
            (`repeat_factor`). An epoch keeps its length. Left out, every sample is drawn once.
        repeat_threshold: For `repeat_factor`: classes in a smaller share of the samples than this are drawn more
            often. Left out, it is the median class's share.
        rare_classes: Names of the classes that `copy_paste`, `rare_transforms` and `RareClassCrop` are for. Left out,
            they are those with less than half of an equal share of the training pixels (or samples).
        copy_paste: Probability, 0 to 1, that a training sample has an object of a rare class pasted in, cut out of
            another one by its mask.
        rare_transforms: Albumentations transforms of the samples that hold a rare class, before `train_transforms`.
        train_transforms: Albumentations transforms, applied to image and mask together.
        eval_transforms: Resizes and pixel-wise transforms of the image at evaluation; the ground truth keeps its size.
        folds: Pool `train` and `val` and deal them into this many folds; `test` stays as it is.
        fold: Which fold is `val`, from 0 on; the others are `train`.
        cache_gb: GiB of decoded images that may lie in the cache folder, over all data sets: training and validation
            images are decoded once and mapped from there; 0 decodes them in every epoch.
        on_device: Cut batches out of a copy in the memory of the device that trains, for small sets of one image size.
        device_transforms: What is done to these training batches; see `lightseg.data.device_transforms`.

    Attributes:
        seed: Seed of sample order and augmentation; `fit` sets it to `seed_everything`.
        split_seed: Seed of the folds, of which all runs share one.
        deals_folds: Whether `train` and `val` are pooled and dealt anew, which never splits a group.
        watched: The samples of every loader that was made, with what its processes are at.
    """

    kind: ClassVar[Literal["segmentation", "classification"]] = "segmentation"
    in_channels: int = 3
    image_values: ImageValues = AS_STORED
    split_seed: int = 0

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 8,
        num_workers: int | None = None,
        sampling: Scheme | None = None,
        repeat_threshold: float | None = None,
        rare_classes: list[str] | None = None,
        copy_paste: float = 0.0,
        rare_transforms: list[Transform] | None = None,
        train_transforms: list[Transform] | None = None,
        eval_transforms: list[Transform] | None = None,
        folds: int | None = None,
        fold: int | None = None,
        cache_gb: float = 16.0,
        on_device: bool = False,
        device_transforms: list[DeviceTransform] | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"data.batch_size: {batch_size} is not a number of samples; give 1 or more")
        require(
            num_workers is None or 0 <= num_workers <= MOST_WORKERS,
            f"data.num_workers: must be 0 to {MOST_WORKERS} processes, got {num_workers}; or leave it out",
        )
        check_options(sampling, repeat_threshold)
        self.root, self.batch_size, self.num_workers = expand_home(root), batch_size, num_workers
        self.sampling, self.repeat_threshold = sampling, repeat_threshold
        self.seed = 0
        self.watched: list[TrackedDataset] = []
        self._augmentation = Augmentation(self.kind, train_transforms or [], rare_transforms, copy_paste, rare_classes)
        self._eval_transform = EvalTransform(eval_transforms or [])
        self.on_device, self.device_transforms = on_device, device_transforms or []
        on_samples = bool(train_transforms or rare_transforms or copy_paste)
        check_on_device_options(on_device, on_samples, self.device_transforms)
        self._residents: dict[Split, DeviceDataset] = {}
        self.deals_folds, self._fold = folds is not None, as_fold(folds, fold)
        require(
            isinstance(cache_gb, int | float) and cache_gb >= 0,
            f"data.cache_gb: {cache_gb} is not a size; give GiB, or 0 for no cache",
        )
        self.cache_gb, self._is_decoded = cache_gb, False
        self._parts: dict[Split, ImageDataset] = {}
        self._datasets: dict[Split, ImageDataset] = {}

    # ---- what a subclass gives -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def classes(self) -> list[str]:
        """Class names in the order of their ids; known without reading any data."""

    @abstractmethod
    def make_dataset(self, split: Split) -> ImageDataset:
        """Return the samples of one split; may be empty for `test`.

        Raises:
            DataError: If the files are not there; the message says what was looked for.
        """

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Return one RGB colour per class, for pictures."""
        return default_palette(len(self.classes))

    def groups(self, names: Sequence[str]) -> Sequence[str]:
        """Group (sequence, patient, …) of each sample, by the samples' names; folds never split a group."""
        return names

    def pixel_stats(self) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and standard deviation per channel on the 0..1 scale; ImageNet's unless a subclass knows better."""
        if self.in_channels == len(IMAGENET_MEAN):
            return IMAGENET_MEAN, IMAGENET_STD
        return [0.5] * self.in_channels, [0.25] * self.in_channels

    # ---- what all of them do ---------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        """Number of classes, void not among them."""
        return len(self.classes)

    def dataset(self, split: Split) -> ImageDataset:
        """Return the samples of one split, made once."""
        if split not in self._datasets:
            if self._fold is None or split == "test":
                self._datasets[split] = self._part(split)
            else:
                parts = [self._part("train"), self._part("val")]
                train, val = split_by_fold(parts, self.num_classes, self.groups, self._fold, self.split_seed)
                self._datasets |= {"train": train, "val": val}
        return self._datasets[split]

    def _part(self, split: Split) -> ImageDataset:
        """Return the samples of one split before folds are dealt."""
        if split not in self._parts:
            self._parts[split] = require_dataset(self.make_dataset(split), f"{type(self).__name__}.make_dataset")
        return self._parts[split]

    def decode(self, trainer: L.Trainer | None = None) -> None:
        """Let training and validation images come from the cache of decoded ones, which is filled if that pays.

        Args:
            trainer: Of the training; one that sees its images once does not fill the cache, but uses it.

        Raises:
            DataError: If an image is broken.
            RunError: If a process that decodes dies.
        """
        if self._is_decoded or not self.cache_gb or self.on_device:
            return
        self._is_decoded = True
        splits: tuple[Split, ...] = ("train", "val")
        parts, build = [self._part(split) for split in splits], True
        if trainer is not None:
            build = is_multi_epoch(trainer, len(parts[0]), self.batch_size)
        workers = self.num_workers if self.num_workers is not None else default_workers(1) + 1
        self._parts |= zip(splits, map_decoded(parts, self.cache_gb, workers, build), strict=True)
        for split in splits:
            self._datasets.pop(split, None)

    def class_counts(self, split: Split = "train") -> ClassCounts:
        """Pixels (or samples) per class of a split, `(num_classes,)` int64."""
        pixels: ClassCounts = self.class_table(split).sum(0)
        return pixels

    def class_extents(self, split: Split = "train") -> ClassCounts:
        """Pixels of all samples that hold a class, `(num_classes,)` int64."""
        table = self.class_table(split)
        extents: ClassCounts = table.sum(1) @ (table > 0)
        return extents

    def class_table(self, split: Split = "train") -> ClassCounts:
        """`ImageDataset.class_table` of a split; read once, then cached on this machine. Not to be written to."""
        return cached_class_table(self.dataset(split), self.num_classes)

    def draw_weights(self) -> npt.NDArray[np.float64] | None:
        """Share of the draws of each training sample, `(N,)`, as `sampling` says; None: each is drawn once.

        Raises:
            ConfigError: If no training sample holds a class.
        """
        if self.sampling is None:
            return None
        return draw_weights(self.sampling, self.class_table(), self.repeat_threshold)

    def check(self) -> dict[Split, ClassCounts]:
        """Read every target of every split once, before anything is trained; `class_counts` of each that is not empty.

        Raises:
            DataError: If a split is missing, is all void, or a target cannot be used.
        """
        counts: dict[Split, ClassCounts] = {}
        for split in SPLITS:
            if not len(self.dataset(split)) and split != "test":
                raise DataError(f"{self.root}: the {split} split of {type(self).__name__} is empty")
            if len(self.dataset(split)):
                counts[split] = self.class_counts(split)
                require_valid(counts[split], self.root, split)
        return counts

    def check_training(self) -> None:
        """See that there is enough to train on, and that a training sample is a function of its seed.

        Raises:
            ConfigError: If no training sample holds a class that `sampling` could draw, there is no rare class for an
                option that needs one, or a transform keeps a random generator of its own.
            DataError: If the training samples do not fill one batch.
        """
        samples = len(self.dataset("train"))
        if samples < self.batch_size:
            raise DataError(
                f"{self.root}: {samples} training samples do not fill one batch; "
                f"set data.batch_size to {samples} or less (it is {self.batch_size})"
            )
        weights = self.draw_weights()
        require(
            weights is None or bool(np.ptp(weights[weights > 0]) > 1e-9 * weights.max()),
            f"data.sampling: {self.sampling} changes nothing here, since it draws all samples alike; leave it out",
        )
        check_repeatable(self._training_samples())
        self._augmentation.check()
        self._preload_splits()

    def fingerprint(self) -> dict[str, Any]:
        """Return what the numbers of a run were measured on: size and fingerprint of every split.

        Where there are folds, `pool` is what they were dealt from, which is the same for all of a cross-validation.
        """
        fingerprints: dict[str, Any] = {
            split: {"samples": len(self.dataset(split)), "sha256": self.split_fingerprint(split)} for split in SPLITS
        }
        if self._fold is None:
            return fingerprints
        pool = pooled([self._part("train"), self._part("val")], self.num_classes)
        pool_fingerprint = add_labels(pool.fingerprint(), pool.class_table(self.num_classes))
        return {**fingerprints, "pool": {"samples": len(pool), "sha256": pool_fingerprint}}

    def split_fingerprint(self, split: Split) -> str:
        """Return the fingerprint of a split's content and labels; see `lightseg.runs.fingerprint`."""
        dataset = self.dataset(split)
        # the content goes first: it looks the files up anew, and the table is that of what is there
        content = dataset.fingerprint()
        table = self.class_table(split) if len(dataset) else np.zeros((0, self.num_classes), np.int64)
        return add_labels(content, table)

    def setup(self, stage: str) -> None:
        """Tell the task the facts of the data, and let a training have its images decoded."""
        if stage == "fit":
            self.decode(self.trainer)
        follow = getattr(self.trainer and self.trainer.lightning_module, "follow", None)
        if follow is not None:
            follow(self)

    def train_dataloader(self) -> DataLoader[Any]:
        """Drawn, augmented batches with `counts`; see `Batch`."""
        samples = self._resident("train") if self.on_device else self._training_samples()
        info = DistributedInfo.of(self.trainer)
        weights = self.draw_weights()
        return self._track(training_loader(samples, self.batch_size, self.seed, weights, info, self.num_workers))

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation split, every sample once; see `eval_dataloader`."""
        return self.eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test split, every sample once; see `eval_dataloader`."""
        return self.eval_dataloader("test")

    def eval_dataloader(self, split: Split) -> DataLoader[Any]:
        """Every sample of a split once, at its own size: each item is a list of batches, one per image size."""
        samples = self._resident(split) if self.on_device else self._evaluated_samples(split)
        return self._track(
            evaluation_loader(samples, self.batch_size, DistributedInfo.of(self.trainer), self.num_workers)
        )

    @property
    def pasted_classes(self) -> tuple[int, ...]:
        """Return the ids that training samples may be given of others (`copy_paste`), once one has been asked for."""
        return self._augmentation.pasted

    def eval_batch(self, index: int, split: Split) -> Batch:
        """Return one sample of a split as evaluation sees it, as a batch of one."""
        return stack([self._evaluated_samples(split)[SampleIndex(index, 0)]])

    def train_sample(self, index: int = 0) -> Batch:
        """Return one sample as training sees it, its index being the seed too, as a batch of one."""
        return stack_training([self._training_samples()[SampleIndex(index, index)]])

    def _training_samples(self) -> TransformedDataset:
        """Return the training split, augmented; the augmentation has learned which classes are rare."""
        self._augmentation.configure_from_data(self.dataset("train"), self.class_table, self.classes)
        return TransformedDataset(self.dataset("train"), self._augmentation)

    def _evaluated_samples(self, split: Split) -> TransformedDataset:
        return TransformedDataset(self.dataset(split), self._eval_transform)

    def _track(self, loader: Loader) -> Loader:
        """Remember a loader's samples, so that the file can be named at which one of its processes dies."""
        if isinstance(loader.dataset, TrackedDataset):
            self.watched.append(loader.dataset)
        return loader

    def _preload_splits(self) -> None:
        """Read all splits that are to lie on the device, and try what is done to them there.

        Raises:
            ConfigError: If it cannot.
            DataError: If a file is broken.
        """
        for split in SPLITS if self.on_device else ():
            if len(self.dataset(split)):
                self._resident(split).check()

    def _resident(self, split: Split) -> DeviceDataset:
        """Return a split in memory, read once, where the trainer trains."""
        if split not in self._residents:
            transform, augment = (None, self.device_transforms) if split == "train" else (self._eval_transform, [])
            self._residents[split] = DeviceDataset(self.dataset(split), split, transform, augment)
        trainer = self.trainer
        return self._residents[split].to(trainer.strategy.root_device if trainer else torch.device("cpu"))

    def check_batch_size(self, world_size: int, accumulate: int) -> int:
        """Samples per process and forward pass: the global batch size over processes × accumulated batches.

        Raises:
            ConfigError: If it cannot be shared evenly; the message has the nearest sizes that can.
        """
        return per_process_batch_size(self.batch_size, world_size * accumulate)
