"""Objects of rare classes, cut out of training images and pasted into others, or elsewhere into the same."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.dataset import ImageDataset
from lightseg.data.sample_index import mix
from lightseg.data.types import Array
from lightseg.labels import IGNORE

SPECK = 16
"""Pieces of fewer pixels are taken for traces of the labelling, not for objects, where there are larger ones."""

_PASTE = 4


class Cutout(NamedTuple):
    """Object that was cut out of an image.

    Attributes:
        image: `(h, w, C)`, the box around it.
        cover: `(h, w)` bool, which pixels of the box are its own.
        label: Its class id.
    """

    image: Array
    cover: npt.NDArray[np.bool_]
    label: int


class CopyPaste:
    """Pastes an object of a rare class into some of the samples.

    The class is drawn among the rare ones that occur, then a sample that holds it, then one of its objects there: a
    piece of that class in which every pixel touches the next, if only by a corner. It is mirrored or not, and lies
    anywhere it fits. What is void in the receiving mask stays void, and what is of a rare class stays as it is.

    Args:
        dataset: Training samples, whose targets are masks.
        table: Pixels of each class in each sample, int64 `(len(dataset), classes)`.
        rare: Ids of the rare classes.
        probability: Of a sample to receive an object.

    Source: Ghiasi et al. 2021, arXiv:2012.07177, section 3; here one object of a rare class instead of any number of
    any class, from the image as it is on disk, and with masks of classes instead of instances.
    """

    def __init__(
        self, dataset: ImageDataset, table: npt.NDArray[np.int64], rare: Sequence[int], probability: float
    ) -> None:
        self._dataset, self._probability = dataset, probability
        self._donors = {label: np.flatnonzero(table[:, label]) for label in rare if table[:, label].any()}
        self._kept = np.isin(np.arange(IGNORE + 1), [*rare, IGNORE])

    def __call__(self, image: Array, mask: Array, seed: int) -> tuple[Array, Array]:
        """Paste an object into a sample, or leave it as it is.

        An object that is larger than the image, or has other pixels than it (8-bit and deeper), is not pasted.

        Args:
            image: `(H, W, C)` uint8 or float32; it is not written to.
            mask: `(H, W)` uint8, likewise.
            seed: Seed of every random choice.
        """
        rng = np.random.default_rng(mix(seed, _PASTE))
        if not self._donors or rng.random() >= self._probability:
            return image, mask
        label = list(self._donors)[rng.integers(len(self._donors))]
        donor, truth = self._dataset[int(rng.choice(self._donors[label]))]
        cutout = cut(donor, np.asarray(truth), label, rng)
        room = np.subtract(mask.shape, cutout.cover.shape)
        if cutout.image.dtype != image.dtype or room.min() < 0:
            return image, mask
        top, left = rng.integers(room + 1)
        return self._paste(image.copy(), mask.copy(), cutout, top, left)

    def _paste(self, image: Array, mask: Array, cutout: Cutout, top: int, left: int) -> tuple[Array, Array]:
        height, width = cutout.cover.shape
        box = slice(top, top + height), slice(left, left + width)
        covered = cutout.cover & ~self._kept[mask[box]]
        image[box][covered] = cutout.image[covered]
        mask[box][covered] = cutout.label
        return image, mask


def cut(image: Array, mask: Array, label: int, rng: np.random.Generator) -> Cutout:
    """Cut an object of a class out of a sample that holds it, mirrored or not.

    Args:
        image: `(H, W, C)`.
        mask: `(H, W)` of class ids.
        label: The class.
        rng: Draws the object, each piece of `SPECK` pixels or more being as likely as the others, or each piece where
            all are smaller; and whether it is mirrored.
    """
    _, pieces, stats, _ = cv2.connectedComponentsWithStats((mask == label).astype(np.uint8), connectivity=8)
    # piece 0 is all that is not of the class
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = areas >= SPECK
    piece = rng.choice(np.flatnonzero(large if large.any() else areas)) + 1
    left, top, width, height = stats[piece, : cv2.CC_STAT_AREA]
    box = slice(top, top + height), slice(left, left + width)
    turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
    return Cutout(image[box][:, turn], pieces[box][:, turn] == piece, label)
