"""Oxford-IIIT Pet: cats and dogs with trimaps."""

from pathlib import Path
from typing import Any, Literal

from lightseg.data.data_module import ImageDataModule
from lightseg.data.datasets.download import fetch, read_stems, split_off_val
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.io.image_files import require_paths
from lightseg.data.io.label_map import LabelMap
from lightseg.data.io.pairing import Pair
from lightseg.data.types import Split

_FOLDER = "oxford-iiit-pet"
"""Folder into which torchvision unpacks the archives."""

_LISTS = tuple(f"annotations/{name}.txt" for name in ("trainval", "test"))
_PATHS = ("images", "annotations/trimaps", *_LISTS)

_PET, _BACKGROUND, _BORDER = 1, 2, 3
_HINT = (
    "set data.download: true, or unpack images.tar.gz and annotations.tar.gz of "
    f"https://www.robots.ox.ac.uk/~vgg/data/pets/ into {_FOLDER}/ below data.root"
)


class OxfordPet(ImageDataModule):
    """Oxford-IIIT Pet, segmentation: 3,680 images to train and validate on, 3,669 to test on, of many sizes.

    The official `trainval` list is split by a fixed seed; the official `test` list is `test`.

    Source: Parkhi et al. 2012, "Cats and dogs".

    Args:
        root: Folder that holds `oxford-iiit-pet`.
        border: Treatment of the trimap's uncertain border: a separate `class`, part of the `pet`, or void (`ignore`).
        val_fraction: Share of the official `trainval` list that is `val`.
        split_seed: Seed of the choice of `val`; separate from `seed`, so that all runs share one split.
        download: Download the archives (about 800 MB, checksums checked) if they are missing.
        **kwargs: As in `ImageDataModule`.
    """

    def __init__(
        self,
        root: str = "data/oxford_pet",
        border: Literal["class", "pet", "ignore"] = "class",
        val_fraction: float = 0.1,
        split_seed: int = 0,
        download: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        self.border, self.val_fraction, self.split_seed, self.download = border, val_fraction, split_seed, download

    @property
    def classes(self) -> list[str]:
        """Return `pet`, `background`, and `border` if it is a class, in the order of the trimaps."""
        return ["pet", "background", "border"] if self.border == "class" else ["pet", "background"]

    def prepare_data(self) -> None:
        """Download the archives if `download` is set.

        Raises:
            DataError: If the download fails.
        """
        if self.download:
            from torchvision.datasets import OxfordIIITPet

            fetch(Path(self.root) / _FOLDER, _PATHS, lambda: OxfordIIITPet(self.root, download=True), _HINT)

    def make_dataset(self, split: Split) -> MaskDataset:
        """Return the images of one split.

        Raises:
            DataError: If a file is missing.
        """
        root = Path(self.root) / _FOLDER
        require_paths(root, _PATHS, _HINT)
        train, test = ([_pair(stem) for stem in read_stems(root / name)] for name in _LISTS)
        splits = split_off_val(train, test, self.val_fraction, self.split_seed)
        return MaskDataset(root, splits[split], self._label_map())

    def _label_map(self) -> LabelMap:
        values = {_PET: "pet", _BACKGROUND: "background"}
        if self.border == "ignore":
            return LabelMap(self.classes, values, ignore=[_BORDER])
        return LabelMap(self.classes, {**values, _BORDER: "border" if self.border == "class" else "pet"}, ignore=[])


def _pair(stem: str) -> Pair:
    return Pair(stem, f"images/{stem}.jpg", f"annotations/trimaps/{stem}.png")
