"""Data module of a folder of images and masks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.datasets.paired_folder import PairedFolder
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.label_map import LabelMap
from lightseg.data.io.label_options import parse_colors
from lightseg.data.io.pairing import MissingMask, Pair, find_pairs
from lightseg.data.palette import default_palette
from lightseg.data.types import Split
from lightseg.errors import ConfigError, require
from lightseg.labels import IGNORE


class MaskFolder(PairedFolder):
    """Images and masks in folders, paired by name, without code; the layouts are those of `PairedFolder`.

    Args:
        classes: Class names in the order of their ids, the background included.
        values: Mask value → class name, such as `{0: background, 255: road}`; several values of one class merge.
            By default, values are class ids 0, 1, 2, ….
        colors: Class name → its RGB color in the masks, or a list of colors, such as
            `{road: [128, 64, 128], car: [[64, 0, 128], [64, 0, 192]]}`. With `colors` alone, palette files are read by
            color too; beside `values`, they serve RGB masks and figures.
        ignore: Mask values and RGB colors that are void, such as `[11]` or `[[0, 0, 0]]`. By default, 255 is void
            unless `values` names it. Negative values, such as `[-1]`, occur in signed TIFF files.
        reduce_zero_label: Value 0 is void and the first class is 1, as in ADE20K: short for `values: {1: …, 2: …}` and
            `ignore: [0, 255]`.
        threshold: Least gray value of the brighter of two classes, such as 128; for masks with smooth edges or in a
            lossy format, such as JPEG.
        mask_channel: Channel of the masks that holds the values: `alpha`, or a number from 0 on, such as 0 for red.
        missing_mask: Treatment of an image without a mask: `error`, `skip` it, or `background`, a mask of the first
            class.
        mask_suffix: End of every mask's name before the extension, such as `_mask`, or with it; other files are
            ignored.
        **kwargs: Options of `PairedFolder`, names of the folders, and of `FileDataModule`, reading of images, splits
            and groups. A line of a list may also name the paths of an image and its mask, below a line with the names
            of these columns or without one; images that no list names need no mask.

    Raises:
        ConfigError: If the labels contradict each other.
    """

    def __init__(
        self,
        classes: list[str],
        values: dict[int, str] | None = None,
        colors: dict[str, list[int] | list[list[int]]] | None = None,
        ignore: list[int | list[int]] | None = None,
        threshold: int | None = None,
        mask_channel: int | Literal["alpha"] | None = None,
        missing_mask: MissingMask = "error",
        reduce_zero_label: bool = False,
        mask_suffix: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if reduce_zero_label:
            require(
                all(option is None for option in (values, colors, ignore, threshold)),
                "data.reduce_zero_label: 0 is void and the classes count from 1; remove data.values, data.colors, "
                "data.ignore and data.threshold, or leave it out",
            )
            values, ignore = dict(enumerate(classes, 1)), [0, IGNORE]
        self.label_map = LabelMap(classes, values, colors, ignore, threshold, mask_channel)
        self._missing_mask = missing_mask
        self._colors = {name: parse_colors(shades)[0] for name, shades in (colors or {}).items()}
        self._mask_suffix = mask_suffix

    @property
    def classes(self) -> list[str]:
        """Return the class names of the config."""
        return self.label_map.classes

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Return the colors of the config, with defaults for classes without a color."""
        defaults = default_palette(self.num_classes)
        return [self._colors.get(name, default) for name, default in zip(self.classes, defaults, strict=True)]

    def find_datasets(self) -> Mapping[Split, MaskDataset]:
        """Return the samples of all splits; `test` may be empty.

        Raises:
            ConfigError: If images and masks are the same files.
            DataError: If folders are missing, or images and masks do not pair up.
        """
        if self._folders[0] == self._folders[1] and self._image_suffix == self._mask_suffix:
            raise ConfigError(
                f"data.masks: {self._folders[1]} is the folder of the images, too; distinguish masks by the ends of "
                "their names, such as mask_suffix: _mask"
            )
        return {
            name: MaskDataset(self.root, pairs, self.label_map, self.in_channels, self.image_values)
            for name, pairs in self._find_splits().items()
        }

    def _unused_options(self) -> Iterator[tuple[str, object, object, str]]:
        yield from super()._unused_options()
        if self._lists_pairs:
            reason = "the lists name every image and its mask"
            yield "missing_mask", self._missing_mask, "error", reason
            yield "mask_suffix", self._mask_suffix, "", reason

    def _with_masks(self, split: Split, pairs: list[Pair]) -> list[Pair]:
        """Return the pairs of a list without those that lack a mask; by default, these are reported.

        Raises:
            DataError: If an image has no mask.
        """
        unpaired = [pair.image for pair in pairs if not pair.mask]
        if unpaired and self._missing_mask == "error":
            more = f" ({len(unpaired) - 1} more like it)" if len(unpaired) > 1 else ""
            message = (
                f"{Path(self.root) / (self._lists or {})[split]}: {unpaired[0]} has no mask{more}; "
                "add it, or set missing_mask: skip or background"
            )
            report(LayoutError("image without mask", message, unpaired))
        return [pair for pair in pairs if pair.mask or self._missing_mask == "background"]

    def _find_pairs(self, images: str, masks: str) -> list[Pair]:
        suffixes = self._image_suffix, self._mask_suffix
        return find_pairs(Path(self.root), images, masks, *suffixes, self._missing_mask, is_listed=bool(self._lists))
