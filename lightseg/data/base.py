"""What every dataset gives and every data module does: splits, loaders, a global batch size, counts of the classes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from lightseg.data.batches import Batch, Prepared, default_workers, stack, stack_by_size, start_worker
from lightseg.data.cache import cached
from lightseg.data.order import EpochSampler, Position, ShardSampler
from lightseg.data.palette import default_palette
from lightseg.data.transforms import Array, EvalTransform, TrainTransform, Transform
from lightseg.errors import ConfigError, DataError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Counts = npt.NDArray[np.int64]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageDataset(Dataset[tuple[Array, Array | int]], ABC):
    """One split: images with their masks or class ids, as they are on disk and before any augmentation.

    Holds its file names in arrays rather than in lists, so that worker processes share the memory.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        """Image `(H, W, C)` uint8 or float32 in 0..1, and mask `(H, W)` uint8 of class ids and `IGNORE`, or a class id.

        Raises:
            DataError: If the file is broken; the message names it.
        """

    @abstractmethod
    def name(self, index: int) -> str:
        """What to call this sample in reports: its path within the dataset, or a number."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the content, equal on every machine that holds the same data."""

    def cache_key(self) -> str:
        """A hash that changes whenever the content may have changed on this machine."""
        return self.fingerprint()

    def count_classes(self, num_classes: int) -> Counts:
        """How much there is of each class, void left out, int64 `(2, num_classes)`; reads every target once.

        Row 0: pixels (or samples) of the class. Row 1: pixels of all samples that hold the class.

        Raises:
            DataError: If a target cannot be used; this is how a dataset is checked before training.
        """
        targets = (self[index][1] for index in range(len(self)))
        return sum((tally(target, num_classes) for target in targets), np.zeros((2, num_classes), np.int64))


def tally(target: Array | int, num_classes: int) -> Counts:
    """The rows of `ImageDataset.count_classes` for one target."""
    pixels = np.bincount(np.ravel(target), minlength=num_classes)[:num_classes]
    return np.stack([pixels, np.where(pixels > 0, pixels.sum(), 0)])


class ImageDataModule(L.LightningDataModule, ABC):
    """Base of all data: a subclass says what its classes are and makes the dataset of a split.

    Args:
        root: Folder that holds the data.
        batch_size: Samples per optimiser step over all processes and accumulated batches: a recipe means the same on
            one GPU and on eight.
        num_workers: Processes that load data, per training process; left out, it follows the machine's cores.
        train_transforms: Albumentations transforms, applied to image and mask together.
        eval_transforms: Resizes and pixel-wise transforms of the image at evaluation; the ground truth keeps its size.

    Attributes:
        seed: Seed of sample order and augmentation; `fit` sets it to `seed_everything`.
    """

    kind: ClassVar[Literal["segmentation", "classification"]] = "segmentation"
    in_channels: int = 3

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 8,
        num_workers: int | None = None,
        train_transforms: list[Transform] | None = None,
        eval_transforms: list[Transform] | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"data.batch_size: {batch_size} is not a number of samples; give 1 or more")
        self.root, self.batch_size, self.num_workers = root, batch_size, num_workers
        self.seed = 0
        self._train_transform = TrainTransform(train_transforms or [])
        self._eval_transform = EvalTransform(eval_transforms or [])
        self._datasets: dict[Split, ImageDataset] = {}

    # ---- what a subclass gives -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def classes(self) -> list[str]:
        """Class names in the order of their ids; known without reading any data."""

    @abstractmethod
    def make_dataset(self, split: Split) -> ImageDataset:
        """The samples of one split; may be empty for `test`.

        Raises:
            DataError: If the files are not there; the message says what was looked for.
        """

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """One RGB colour per class, for pictures."""
        return default_palette(len(self.classes))

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
        """The samples of one split, made once."""
        if split not in self._datasets:
            made = self.make_dataset(split)
            if not isinstance(made, ImageDataset):
                raise ConfigError(
                    f"{type(self).__name__}.make_dataset gave a {type(made).__name__}; it must give a "
                    "lightseg.data.ImageDataset: __len__, __getitem__, name and fingerprint"
                )
            self._datasets[split] = made
        return self._datasets[split]

    def class_counts(self, split: Split = "train") -> Counts:
        """Pixels (or samples) per class of a split, `(num_classes,)` int64; read once, then cached on this machine."""
        pixels: Counts = self._counted(split)[0]
        return pixels

    def class_extents(self, split: Split = "train") -> Counts:
        """Pixels of all samples that hold a class, `(num_classes,)` int64."""
        extents: Counts = self._counted(split)[1]
        return extents

    def _counted(self, split: Split) -> Counts:
        dataset = self.dataset(split)
        key = f"classes-{dataset.cache_key()}-{self.num_classes}"
        counts: Counts = np.asarray(cached(key, lambda: dataset.count_classes(self.num_classes).tolist()), np.int64)
        return counts

    def check(self) -> None:
        """Read every target of every split once, before anything is trained.

        Raises:
            DataError: If a split is missing or a target cannot be used.
        """
        for split in SPLITS:
            if not len(self.dataset(split)) and split != "test":
                raise DataError(f"{self.root}: the {split} split of {type(self).__name__} is empty")
            if len(self.dataset(split)):
                self.class_counts(split)

    def check_training(self) -> None:
        """See that there is enough to train on.

        Raises:
            DataError: If the training samples do not fill one batch.
        """
        samples = len(self.dataset("train"))
        if samples < self.batch_size:
            raise DataError(
                f"{self.root}: {samples} training samples do not fill one batch; "
                f"set data.batch_size to {samples} or less (it is {self.batch_size})"
            )

    def fingerprint(self) -> dict[str, Any]:
        """What the numbers of a run were measured on: size and content hash of every split."""
        return {
            split: {"samples": len(self.dataset(split)), "sha256": self.dataset(split).fingerprint()}
            for split in SPLITS
        }

    def setup(self, stage: str) -> None:  # noqa: ARG002
        """Tell the task the facts of the data."""
        follow = getattr(self.trainer and self.trainer.lightning_module, "follow", None)
        if follow is not None:
            follow(self)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, augmented batches `{"image": (N, C, H, W), "target": (N, H, W) or (N,), "index": (N,)}`."""
        dataset = self.dataset("train")
        rank, world_size, accumulate = self._sharing()
        batch_size = self.check_batch_size(world_size, accumulate)
        sampler = EpochSampler(len(dataset), self.batch_size, self.seed, rank, world_size)
        prepared = Prepared(dataset, self._train_transform)
        return DataLoader(prepared, batch_size, sampler=sampler, drop_last=True, collate_fn=stack, **self._workers())

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation split, every sample once; see `eval_dataloader`."""
        return self.eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """The test split, every sample once; see `eval_dataloader`."""
        return self.eval_dataloader("test")

    def eval_dataloader(self, split: Split) -> DataLoader[Any]:
        """Every sample of a split once, at its own size: each item is a list of batches, one per image size."""
        dataset = self.dataset(split)
        rank, world_size, accumulate = self._sharing()
        sampler = ShardSampler(len(dataset), rank, world_size)
        prepared = Prepared(dataset, self._eval_transform)
        # as in training, where memory is the limit
        batch_size = max(1, self.batch_size // (world_size * accumulate))
        return DataLoader(prepared, batch_size, sampler=sampler, collate_fn=stack_by_size, **self._workers())

    def eval_batch(self, index: int, split: Split) -> Batch:
        """One sample of a split as evaluation sees it, as a batch of one."""
        return stack([Prepared(self.dataset(split), self._eval_transform)[Position(index, 0)]])

    def train_sample(self) -> Batch:
        """One sample as training sees it, as a batch of one."""
        return stack([Prepared(self.dataset("train"), self._train_transform)[Position(0, 0)]])

    def _sharing(self) -> tuple[int, int, int]:
        """This process, the number of processes, and the number of batches that make up a step of each."""
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size, trainer.accumulate_grad_batches) if trainer else (0, 1, 1)

    def check_batch_size(self, world_size: int, accumulate: int) -> int:
        """Samples per process and forward pass: the global batch size over processes × accumulated batches.

        Raises:
            ConfigError: If it cannot be shared evenly; the message has the nearest sizes that can.
        """
        parts = world_size * accumulate
        if self.batch_size % parts:
            below = self.batch_size // parts * parts
            nearest = " or ".join(str(size) for size in (below, below + parts) if size)
            raise ConfigError(
                f"data.batch_size: {self.batch_size} samples cannot be shared by {parts} "
                f"(processes × accumulate_grad_batches); the nearest that can: {nearest}"
            )
        return self.batch_size // parts

    def _workers(self) -> dict[str, Any]:
        workers = self.num_workers if self.num_workers is not None else default_workers(self._sharing()[1])
        pin = torch.cuda.is_available()
        return {
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": pin,
            "worker_init_fn": start_worker,
        }
