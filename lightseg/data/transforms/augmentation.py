"""Augmentation of training samples."""

from collections.abc import Callable, Sequence

import numpy as np

from lightseg.data.dataset import ImageDataset
from lightseg.data.sample_index import mix
from lightseg.data.transforms.copy_paste import CopyPaste
from lightseg.data.transforms.pipeline import TrainTransform
from lightseg.data.transforms.rare_classes import classes_present, rare_classes
from lightseg.data.types import Array, ClassCounts, Transform
from lightseg.errors import require

_RARE_SEED = 5
"""Salt of the seed of `rare_transforms`."""


class Augmentation:
    """Copy-paste of rare classes, `rare_transforms` of samples with a rare class, then `train_transforms`.

    `configure_from_data` must be called first, to determine the rare classes and the samples that hold them.

    Args:
        kind: `segmentation` or `classification`.
        train_transforms: Transforms of every sample.
        rare_transforms: Transforms of samples that hold a rare class, before `train_transforms`; None for none.
        copy_paste: Probability, 0 to 1, that an object of a rare class is pasted into a sample.
        names: Names of the rare classes; None: determined from the class counts.
        multilabel: Whether a sample has a mask for each class.

    Raises:
        ConfigError: If a value is outside its range, has no effect, or does not fit the kind of data.
    """

    def __init__(
        self,
        kind: str,
        train_transforms: Sequence[Transform],
        rare_transforms: Sequence[Transform] | None = None,
        copy_paste: float = 0.0,
        names: Sequence[str] | None = None,
        multilabel: bool = False,
    ) -> None:
        require(0 <= copy_paste <= 1, f"data.copy_paste: must be 0 to 1, got {copy_paste}")
        require(
            kind == "segmentation" or not copy_paste,
            "data.copy_paste: needs masks to cut objects out, and this data has none; use data.rare_transforms",
        )
        self._train_transform = TrainTransform(train_transforms, multilabel=multilabel)
        self._rare_transform = (
            TrainTransform(rare_transforms, "rare_transforms", multilabel) if rare_transforms else None
        )
        self._crops = self._train_transform.rare_crops + (
            self._rare_transform.rare_crops if self._rare_transform else []
        )
        users = {"copy_paste": copy_paste, "rare_transforms": self._rare_transform, "RareClassCrop": self._crops}
        self._rare_option = next((option for option, value in users.items() if value), None)
        require(
            self._rare_option is not None or names is None,
            f"data.rare_classes: nothing uses them; add {', '.join(list(users)[:-1])} or a {list(users)[-1]}, or leave "
            "them out",
        )
        self._rare_names, self._paste_probability = names, copy_paste
        self._rare_ids: tuple[int, ...] = ()
        self._copy_paste: CopyPaste | None = None

    def configure_from_data(
        self, dataset: ImageDataset, class_table: Callable[[], ClassCounts], classes: Sequence[str]
    ) -> None:
        """Determine the rare classes, and the samples that hold them.

        Args:
            dataset: The training samples.
            class_table: Returns the pixels of each class in each sample, `(N, C)` int64; called only if an option needs
                it, since it may have to read every target.
            classes: Class names.

        Raises:
            ConfigError: If an option needs rare classes and there is none.
        """
        if self._rare_option is None:
            return
        table = class_table()
        counts = table.sum(0)
        self._rare_ids = rare_classes(counts, classes, self._rare_names)
        require(
            bool(self._rare_ids) or self._rare_names is not None,
            f"data: {self._rare_option} finds no rare class: each has half of an equal share of the training data or "
            "more; leave it out, or name some in data.rare_classes",
        )
        require(
            bool(counts[list(self._rare_ids)].any()),
            f"data.rare_classes: {self._rare_names} do not occur in the training data",
        )
        for crop in self._crops:
            crop.rare = self._rare_ids
        if self._paste_probability:
            self._copy_paste = CopyPaste(dataset, table, self._rare_ids, self._paste_probability)

    @property
    def pasted_classes(self) -> tuple[int, ...]:
        """Class ids that may be pasted into a sample; empty before `configure_from_data`."""
        return self._rare_ids if self._paste_probability else ()

    def require_copied_ids(self, image: Array, mask: Array, seed: int) -> None:
        """Check that all transforms copy class ids; see `TrainTransform.require_copied_ids`."""
        for transform in filter(None, (self._rare_transform, self._train_transform)):
            transform.require_copied_ids(image, mask, seed)

    def check(self) -> None:
        """Check, after some samples have been augmented, that a `RareClassCrop` is smaller than some image.

        Raises:
            ConfigError: If it is not.
        """
        for crop in self._crops:
            require(
                crop.chooses is not False,
                f"RareClassCrop: no image is larger than {crop.height}×{crop.width}, so there is nothing to choose; "
                "give a smaller size, or leave it out",
            )

    def __call__(self, image: Array, target: Array | int, seed: int) -> tuple[Array, Array | int]:
        """Augment one sample.

        Args:
            image: `(H, W, C)` uint8 or float32.
            target: Mask `(H, W)` or `(H, W, K)` uint8, or the target of an image.
            seed: Seed of all random numbers.

        Returns:
            Image and target; transforms may change their size.
        """
        if self._copy_paste is not None and isinstance(target, np.ndarray):
            image, target = self._copy_paste(image, target, seed)
        if self._rare_transform is not None and classes_present(target, self._rare_ids):
            image, target = self._rare_transform(image, target, mix(seed, _RARE_SEED))
        return self._train_transform(image, target, seed)
