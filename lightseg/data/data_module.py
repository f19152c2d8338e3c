"""Base class of the data modules: augmentation, sampling, loaders, a global batch size."""

from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from lightseg.config.recipe_schema import MOST_WORKERS
from lightseg.data.device_transforms import DeviceTransform
from lightseg.data.image_splits import ImageSplits
from lightseg.data.loading.build import (
    DistributedInfo,
    evaluation_loader,
    per_process_batch_size,
    training_loader,
)
from lightseg.data.loading.collate import (
    TransformedDataset,
    check_repeatable,
    default_workers,
    stack,
    stack_training,
)
from lightseg.data.loading.decoded_cache import is_multi_epoch, map_decoded
from lightseg.data.loading.loaders import Loader, TrackedDataset
from lightseg.data.loading.on_device import DeviceDataset, check_on_device_options
from lightseg.data.loading.sample_weights import SamplingScheme, check_options, draw_weights
from lightseg.data.sample_index import SampleIndex
from lightseg.data.transforms.augmentation import Augmentation
from lightseg.data.transforms.mixing import Mixing
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import SPLITS, Array, Batch, Split, Transform
from lightseg.errors import ConfigError, DataError, require


class ImageDataModule(ImageSplits):
    """Base class of all data modules; a subclass defines `classes` and `make_dataset`.

    Args:
        root: Folder of the data.
        batch_size: Samples per optimizer step over all processes and accumulated batches, so that a recipe means the
            same on one GPU and on eight.
        num_workers: Loading processes per training process; by default, it follows the machine's cores.
        sampling: Sample training images with rare classes more often: every class equally often (`class_balanced`),
            half way to that (`square_root`), or only the rarer half of the classes more often (`repeat_factor`). The
            length of an epoch stays the same. By default, every sample is used once per epoch.
        repeat_threshold: For `repeat_factor`: classes in a smaller share of the samples than this are sampled more
            often. By default, the median class's share.
        rare_classes: Names of the classes that `copy_paste`, `rare_transforms` and `RareClassCrop` apply to. By
            default, those with less than half of an equal share of the training pixels (or samples).
        copy_paste: Probability, 0 to 1, that an object of a rare class, cut out of another training sample by its
            mask, is pasted into a training sample.
        rare_transforms: Albumentations transforms for samples with a rare class, applied before `train_transforms`.
        train_transforms: Albumentations transforms, applied to image and mask together.
        eval_transforms: Resizes and pixel-wise transforms of the image at evaluation; the ground truth keeps its size.
            In classification, also `CenterCrop` and `PadIfNeeded`.
        folds: Number of folds for cross-validation, over the pooled `train` and `val` splits; `test` is unchanged.
        fold: Index of the fold used as `val`, from 0; the other folds are `train`.
        cache_gb: Maximum size of the cache of decoded images in GiB, over all data sets: training and validation
            images are decoded once and memory-mapped from it; 0 decodes them in every epoch.
        on_device: Load the data set into the memory of the training device, for small sets of one image size.
        device_transforms: Transforms of training batches on the device; needs `on_device`. See
            `lightseg.data.device_transforms`.
        mixup: Parameter alpha of mixup, in classification: each training image is blended with another one of its
            batch, and the loss is that of both classes by their shares, drawn from Beta(alpha, alpha). 0 for none;
            0.2 is usual.
        cutmix: Parameter alpha of CutMix, in classification: a box of each training image is filled from another one
            of its batch. 0 for none; 1 is usual. With `mixup`, each pair of images is mixed in one of the two ways.

    Attributes:
        seed: Seed of sample order and augmentation; `fit` sets it to `seed_everything`.
        watched: The datasets of all loaders created so far, with the current sample of each loading process.

    Raises:
        ConfigError: If an option is out of range, or options contradict each other.
    """

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 8,
        num_workers: int | None = None,
        sampling: SamplingScheme | None = None,
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
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> None:
        super().__init__(root, folds, fold)
        if batch_size < 1:
            raise ConfigError(f"data.batch_size: {batch_size} is not a number of samples; give 1 or more")
        require(
            num_workers is None or 0 <= num_workers <= MOST_WORKERS,
            f"data.num_workers: must be 0 to {MOST_WORKERS} processes, got {num_workers}; or leave it out",
        )
        check_options(sampling, repeat_threshold)
        self.batch_size, self.num_workers = batch_size, num_workers
        self.sampling, self.repeat_threshold = sampling, repeat_threshold
        self.seed = 0
        self.watched: list[TrackedDataset] = []
        self._augmentation = Augmentation(
            self.kind, train_transforms or [], rare_transforms, copy_paste, rare_classes, self.multilabel
        )
        self._eval_transform = EvalTransform(eval_transforms or [], self.kind)
        self.on_device, self.device_transforms = on_device, device_transforms or []
        on_samples = bool(train_transforms or rare_transforms or copy_paste)
        check_on_device_options(on_device, on_samples, self.device_transforms)
        self.mixing = Mixing(mixup, cutmix)
        self._check_mixing()
        self._device_datasets: dict[Split, DeviceDataset] = {}
        require(
            isinstance(cache_gb, int | float) and cache_gb >= 0,
            f"data.cache_gb: {cache_gb} is not a size; give GiB, or 0 for no cache",
        )
        self.cache_gb, self._is_decoded = cache_gb, False

    def decode(self, trainer: L.Trainer | None = None) -> None:
        """Read training and validation images from the cache of decoded images, and fill it where that pays.

        Args:
            trainer: The trainer; for a single epoch, an existing cache is used, but none is built.

        Raises:
            DataError: If an image is broken.
            RunError: If a decoding process dies.
        """
        if self._is_decoded or not self.cache_gb or self.on_device:
            return
        self._is_decoded = True
        splits: tuple[Split, ...] = ("train", "val")
        parts = [self._part(split) for split in splits]
        build = trainer is None or is_multi_epoch(trainer, len(parts[0]), self.batch_size)
        workers = self.num_workers if self.num_workers is not None else default_workers(1) + 1
        self.replace_parts(dict(zip(splits, map_decoded(parts, self.cache_gb, workers, build), strict=True)))

    def draw_weights(self) -> npt.NDArray[np.float64] | None:
        """Return the sampling weight of each training sample, `(N,)` float64; None without `sampling`.

        Returns:
            Weights that sum to 1, or None: every sample is used once per epoch.

        Raises:
            ConfigError: If no training sample holds a class.
        """
        if self.sampling is None:
            return None
        table = self.class_table()
        if self.multilabel:
            # without a class is a class of its own, since training needs samples that lack all of them, too
            truth = self.truth_table().sum(1)
            table = np.column_stack([table, (truth[:, 1] == 0) & (truth[:, 0] > 0)])
        return draw_weights(self.sampling, table, self.repeat_threshold)

    def check_training(self) -> list[dict[str, Any]]:
        """Check that the training split fills a batch, and that a training sample is a function of its seed.

        Returns:
            A few augmented samples, spread over the split, as a loader stacks them.

        Raises:
            ConfigError: If no training sample holds a class that `sampling` could draw, there is no rare class for an
                option that needs one, or a transform has its own random generator.
            DataError: If the training samples do not fill one batch.
        """
        size = len(self.dataset("train"))
        if size < self.batch_size:
            raise DataError(
                f"{self.root}: {size} training samples do not fill one batch; "
                f"set data.batch_size to {size} or less (it is {self.batch_size})"
            )
        weights = self.draw_weights()
        require(
            weights is None or bool(np.ptp(weights[weights > 0]) > 1e-9 * weights.max()),
            f"data.sampling: {self.sampling} changes nothing here, since it draws all samples alike; leave it out",
        )
        samples = check_repeatable(self._training_samples())
        self._augmentation.check()
        self._preload_splits()
        return samples

    def setup(self, stage: str) -> None:
        """Configure the task from the data and, for training, decode the images; called by Lightning."""
        if stage == "fit":
            self.decode(self.trainer)
        configure = getattr(self.trainer and self.trainer.lightning_module, "configure_from_data", None)
        if configure is not None:
            configure(self)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of sampled and augmented batches with `counts`; see `Batch`.

        Raises:
            ConfigError: If two images of a batch are mixed, and there is one.
        """
        # not in the constructor, since an evaluation may have another batch size
        require(
            not self.mixing or self.batch_size > 1,
            f"{self.mixing}: mixes two images of a batch, and there is one; set data.batch_size to 2 or more",
        )
        samples = self._device_dataset("train") if self.on_device else self._training_samples()
        info = DistributedInfo.of(self.trainer)
        weights = self.draw_weights()
        return self._track(
            training_loader(samples, self.batch_size, self.seed, weights, info, self.num_workers, self.mixing)
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the validation split; see `eval_dataloader`."""
        return self.eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the test split; see `eval_dataloader`."""
        return self.eval_dataloader("test")

    def eval_dataloader(self, split: Split) -> DataLoader[Any]:
        """Return a loader of every sample once, unpadded: each item is a list of batches, one per image size."""
        samples = self._device_dataset(split) if self.on_device else self._eval_samples(split)
        return self._track(
            evaluation_loader(samples, self.batch_size, DistributedInfo.of(self.trainer), self.num_workers)
        )

    @property
    def pasted_classes(self) -> tuple[int, ...]:
        """Class ids that `copy_paste` may add to training samples; empty before the first sample is read."""
        return self._augmentation.pasted_classes

    def eval_batch(self, index: int, split: Split) -> Batch:
        """Return a sample with the evaluation transforms applied, as a batch of size 1."""
        return stack([self._eval_samples(split)[SampleIndex(index, 0)]])

    def train_sample(self, index: int = 0) -> Batch:
        """Return an augmented training sample, seeded by its index, as a batch of size 1."""
        return stack_training([self._training_samples()[SampleIndex(index, index)]])

    def require_copied_ids(self, image: Array, mask: Array) -> None:
        """Check on a training sample that the transforms copy class ids and do not compute with them.

        Args:
            image: `(H, W, C)` uint8 or float32.
            mask: `(H, W)` or `(H, W, K)` uint8.

        Raises:
            ConfigError: If one computes with ids.
        """
        self._augmentation.require_copied_ids(image, mask, self.seed)

    def _check_mixing(self) -> None:
        """Check that training images can be mixed, where the recipe asks for it."""
        is_mixable = self.kind == "classification" and not self.multilabel
        classes = "each image has several labels" if self.kind == "classification" else "each pixel has a class"
        require(
            not self.mixing or is_mixable,
            f"{self.mixing}: mix images that have one class each, and here {classes}; leave it out",
        )

    def _training_samples(self) -> TransformedDataset:
        """Return the augmented training split; the rare classes are determined first, from the class counts."""
        self._augmentation.configure_from_data(self.dataset("train"), self.class_table, self.classes)
        return TransformedDataset(self.dataset("train"), self._augmentation)

    def _eval_samples(self, split: Split) -> TransformedDataset:
        return TransformedDataset(self.dataset(split), self._eval_transform)

    def _track(self, loader: Loader) -> Loader:
        """Keep a loader's dataset, so that an error message can name the file that a dead process was reading."""
        if isinstance(loader.dataset, TrackedDataset):
            self.watched.append(loader.dataset)
        return loader

    def _preload_splits(self) -> None:
        """Read all splits for `on_device`, and test the device transforms.

        Raises:
            ConfigError: If a split does not form a tensor or fit the memory, or a transform is not a function of its
                random numbers.
            DataError: If a file is broken.
        """
        for split in SPLITS if self.on_device else ():
            if len(self.dataset(split)):
                self._device_dataset(split).check()

    def _device_dataset(self, split: Split) -> DeviceDataset:
        """Return a split in the memory of the trainer's device, read once."""
        if split not in self._device_datasets:
            transform, augment = (None, self.device_transforms) if split == "train" else (self._eval_transform, [])
            self._device_datasets[split] = DeviceDataset(self.dataset(split), split, transform, augment)
        trainer = self.trainer
        return self._device_datasets[split].to(trainer.strategy.root_device if trainer else torch.device("cpu"))

    def check_batch_size(self, world_size: int, accumulate: int) -> int:
        """Return the samples per process and forward pass: the batch size over processes × accumulated batches.

        Raises:
            ConfigError: If the division leaves a remainder; the message has the nearest sizes without one.
        """
        return per_process_batch_size(self.batch_size, world_size * accumulate)
