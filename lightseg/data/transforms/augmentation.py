"""Augmentation of a training sample."""

from collections.abc import Callable, Sequence

import numpy as np

from lightseg.data.dataset import ImageDataset
from lightseg.data.sample_index import mix
from lightseg.data.transforms.copy_paste import CopyPaste
from lightseg.data.transforms.pipeline import TrainTransform
from lightseg.data.transforms.rare_classes import classes_present, rare_classes
from lightseg.data.types import Array, ClassCounts, Transform
from lightseg.errors import require

_STRONGER = 5


class Augmentation:
    """Augmentation: an object of a rare class pasted in, stronger transforms for rare classes, then the common ones.

    Which classes are rare, and which samples hold them, has to be learned by `configure_from_data` first.

    Args:
        kind: `segmentation` or `classification`.
        train_transforms: Transforms of every sample.
        rare_transforms: Transforms before those of samples that hold a rare class; None for none.
        copy_paste: Probability of a sample to receive an object of a rare class.
        names: Names of the rare classes; None for those that the counts tell.

    Raises:
        ConfigError: If a value is outside its range, does nothing, or does not fit the kind of data.
    """

    def __init__(
        self,
        kind: str,
        train_transforms: Sequence[Transform],
        rare_transforms: Sequence[Transform] | None = None,
        copy_paste: float = 0.0,
        names: Sequence[str] | None = None,
    ) -> None:
        require(0 <= copy_paste <= 1, f"data.copy_paste: {copy_paste} is not a probability, 0 to 1")
        require(
            kind == "segmentation" or not copy_paste,
            "data.copy_paste: cuts objects out by their masks, and this data has none; see data.rare_transforms",
        )
        self._every = TrainTransform(train_transforms)
        self._stronger = TrainTransform(rare_transforms, "rare_transforms") if rare_transforms else None
        self._crops = self._every.rare_crops + (self._stronger.rare_crops if self._stronger else [])
        used = {"copy_paste": copy_paste, "rare_transforms": self._stronger, "RareClassCrop": self._crops}
        self._uses = next((option for option, value in used.items() if value), None)
        require(
            self._uses is not None or names is None,
            f"data.rare_classes: nothing uses them; add {', '.join(list(used)[:-1])} or a {list(used)[-1]}, or leave "
            "them out",
        )
        self._names, self._probability = names, copy_paste
        self._rare: tuple[int, ...] = ()
        self._paste: CopyPaste | None = None

    def configure_from_data(
        self, dataset: ImageDataset, class_table: Callable[[], ClassCounts], classes: Sequence[str]
    ) -> None:
        """Learn which classes are rare.

        Args:
            dataset: The training samples.
            class_table: Returns the pixels of each class in each of them, `(N, C)`; called only if an option needs it,
                since it may have to read every target.
            classes: Class names.

        Raises:
            ConfigError: If an option needs rare classes and there is none.
        """
        if self._uses is None:
            return
        table = class_table()
        counts = table.sum(0)
        self._rare = rare_classes(counts, classes, self._names)
        require(
            bool(self._rare) or self._names is not None,
            f"data: {self._uses} finds no rare class: each has half of an equal share of the training data or more; "
            "leave it out, or name some in data.rare_classes",
        )
        require(
            bool(counts[list(self._rare)].any()), f"data.rare_classes: {self._names} do not occur in the training data"
        )
        for crop in self._crops:
            crop.rare = self._rare
        if self._probability:
            self._paste = CopyPaste(dataset, table, self._rare, self._probability)

    @property
    def pasted(self) -> tuple[int, ...]:
        """Return the classes that a sample may be given of another one, once `configure_from_data` has been called."""
        return self._rare if self._probability else ()

    def check(self) -> None:
        """See that crops which look for rare classes had something to choose, once some samples have been augmented.

        Raises:
            ConfigError: If one had not.
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
            target: `(H, W)` uint8 mask, or a class id.
            seed: Seed of every random choice.
        """
        if self._paste is not None and isinstance(target, np.ndarray):
            image, target = self._paste(image, target, seed)
        if self._stronger is not None and classes_present(target, self._rare):
            image, target = self._stronger(image, target, mix(seed, _STRONGER))
        return self._every(image, target, seed)
