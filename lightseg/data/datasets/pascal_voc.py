"""Pascal VOC 2012 segmentation: everyday scenes, 20 kinds of objects and background."""

from pathlib import Path
from typing import Any

from lightseg.data.data_module import ImageDataModule
from lightseg.data.datasets.download import fetch, read_stems, split_off_val
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.io.image_files import require_paths
from lightseg.data.io.label_map import LabelMap
from lightseg.data.io.pairing import Pair
from lightseg.data.types import Split

_FOLDER = "VOCdevkit/VOC2012"
"""Folder into which torchvision unpacks the archive."""

_LISTS = tuple(f"ImageSets/Segmentation/{name}.txt" for name in ("train", "val"))
_PATHS = ("JPEGImages", "SegmentationClass", *_LISTS)
_HINT = (
    "set data.download: true, or unpack VOCtrainval_11-May-2012.tar of "
    f"https://host.robots.ox.ac.uk/pascal/VOC/voc2012/ so that {_FOLDER}/ lies below data.root"
)
_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


class PascalVOC(ImageDataModule):
    """Pascal VOC 2012, segmentation, without the extra annotations of SBD.

    The official test masks are not public. The official `val` list (1,449 images) is therefore `test`, as in most
    papers' tables, and never chooses a checkpoint; `val` is a seeded part of the official `train` list (1,464 images).

    Source: Everingham et al. 2010, "The Pascal visual object classes (VOC) challenge".

    Args:
        root: Folder that holds `VOCdevkit`.
        val_fraction: Share of the official `train` list that is `val`.
        split_seed: Seed of the choice of `val`; separate from `seed`, so that all runs share one split.
        download: Download the archive (2 GB, checksum checked) if it is missing.
        **kwargs: As in `ImageDataModule`.
    """

    def __init__(
        self,
        root: str = "data/pascal_voc",
        val_fraction: float = 0.1,
        split_seed: int = 0,
        download: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        self.val_fraction, self.split_seed, self.download = val_fraction, split_seed, download

    @property
    def classes(self) -> list[str]:
        """Return background and the 20 kinds of objects, in VOC's order; 255 is void."""
        return list(_CLASSES)

    def prepare_data(self) -> None:
        """Download the archive if `download` is set.

        Raises:
            DataError: If the download fails.
        """
        if self.download:
            from torchvision.datasets import VOCSegmentation

            def download() -> object:
                return VOCSegmentation(self.root, "2012", download=True)

            fetch(Path(self.root) / _FOLDER, _PATHS, download, _HINT)

    def make_dataset(self, split: Split) -> MaskDataset:
        """Return the images of one split.

        Raises:
            DataError: If a file is missing.
        """
        root = Path(self.root) / _FOLDER
        require_paths(root, _PATHS, _HINT)
        train, test = ([_pair(stem) for stem in read_stems(root / name)] for name in _LISTS)
        splits = split_off_val(train, test, self.val_fraction, self.split_seed)
        return MaskDataset(root, splits[split], LabelMap(self.classes))


def _pair(stem: str) -> Pair:
    return Pair(stem, f"JPEGImages/{stem}.jpg", f"SegmentationClass/{stem}.png")
