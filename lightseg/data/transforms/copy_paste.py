"""Copy-paste augmentation with objects of rare classes."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.dataset import ImageDataset
from lightseg.data.sample_index import mix
from lightseg.data.targets import is_class, is_multilabel
from lightseg.data.types import Array
from lightseg.labels import IGNORE

SPECK = 16
"""Components of fewer pixels are treated as labeling noise if there are larger ones."""

_PASTE_SEED = 4
"""Salt of the seed of copy-paste."""


class ObjectCutout(NamedTuple):
    """Object cut out of an image.

    Attributes:
        image: Pixels of its bounding box, `(h, w, C)`.
        cover: Its pixels within the box, `(h, w)` bool.
        target: Mask of its bounding box, `(h, w)`, or `(h, w, C)` where classes may overlap.
    """

    image: Array
    cover: npt.NDArray[np.bool_]
    target: Array


class CopyPaste:
    """Copy-paste of an object of a rare class into a random part of the samples.

    A rare class that occurs is drawn, then a sample that holds it, then an object: an 8-connected component of that
    class. It is mirrored with probability 0.5 and pasted at a random position. Pixels of rare classes in the receiving
    mask, and pixels that are void for every class, are not covered. Where classes may overlap, the other classes of the
    object's pixels come with it.

    Args:
        dataset: Training samples with masks.
        table: Pixels of each class in each sample, `(N, C)` int64.
        rare: Ids of the rare classes.
        probability: Probability, 0 to 1, that an object is pasted into a sample.

    Source: Ghiasi et al. 2021, arXiv:2012.07177, section 3; here one object of a rare class instead of any number of
    any class, from the stored image, and with class masks instead of instance masks.
    """

    def __init__(
        self, dataset: ImageDataset, table: npt.NDArray[np.int64], rare: Sequence[int], probability: float
    ) -> None:
        self._dataset, self._probability = dataset, probability
        self._donors = {label: np.flatnonzero(table[:, label]) for label in rare if table[:, label].any()}
        self._rare = tuple(rare)

    def __call__(self, image: Array, mask: Array, seed: int) -> tuple[Array, Array]:
        """Paste an object into a sample with the given probability.

        An object that is larger than the image, or of another dtype, is not pasted.

        Args:
            image: `(H, W, C)` uint8 or float32; not modified.
            mask: `(H, W)` or `(H, W, C)` uint8; not modified.
            seed: Seed of all random numbers.

        Returns:
            Image and mask; copies if an object was pasted.
        """
        rng = np.random.default_rng(mix(seed, _PASTE_SEED))
        if not self._donors or rng.random() >= self._probability:
            return image, mask
        label = list(self._donors)[rng.integers(len(self._donors))]
        donor, donor_mask = self._dataset[int(rng.choice(self._donors[label]))]
        cutout = cut(donor, np.asarray(donor_mask), label, rng)
        room = np.subtract(mask.shape[:2], cutout.cover.shape)
        if cutout.image.dtype != image.dtype or room.min() < 0:
            return image, mask
        y, x = rng.integers(room + 1)
        return self._paste(image.copy(), mask.copy(), cutout, y, x)

    def _paste(self, image: Array, mask: Array, cutout: ObjectCutout, y: int, x: int) -> tuple[Array, Array]:
        height, width = cutout.cover.shape
        box = slice(y, y + height), slice(x, x + width)
        is_covered = cutout.cover & ~self._is_protected(mask[box])
        image[box][is_covered] = cutout.image[is_covered]
        mask[box][is_covered] = cutout.target[is_covered]
        return image, mask

    def _is_protected(self, mask: Array) -> npt.NDArray[np.bool_]:
        """Return the pixels that no object may cover, `(h, w)`."""
        is_void = mask == IGNORE
        is_protected: npt.NDArray[np.bool_] = is_void.all(-1) if is_multilabel(mask) else is_void
        for label in self._rare:
            is_protected = is_protected | is_class(mask, label)
        return is_protected


def cut(image: Array, mask: Array, label: int, rng: np.random.Generator) -> ObjectCutout:
    """Cut a random object of a class out of a sample that holds it, mirrored with probability 0.5.

    The object is drawn uniformly among the components of `SPECK` pixels or more, or among all if none is that large.

    Args:
        image: `(H, W, C)`.
        mask: `(H, W)` or `(H, W, C)` uint8.
        label: The class id.
        rng: Random generator.
    """
    _, components, stats, _ = cv2.connectedComponentsWithStats(is_class(mask, label).astype(np.uint8), connectivity=8)
    # component 0 is the background
    areas = stats[1:, cv2.CC_STAT_AREA]
    is_large = areas >= SPECK
    component = rng.choice(np.flatnonzero(is_large if is_large.any() else areas)) + 1
    x, y, width, height = stats[component, : cv2.CC_STAT_AREA]
    box = slice(y, y + height), slice(x, x + width)
    columns = slice(None, None, -1 if rng.random() < 0.5 else 1)
    return ObjectCutout(image[box][:, columns], components[box][:, columns] == component, mask[box][:, columns])
