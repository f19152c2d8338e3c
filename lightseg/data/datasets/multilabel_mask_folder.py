"""Data module of a folder of images and a mask for each class, where classes may overlap."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from lightseg.data.datasets.multilabel_mask_dataset import MultilabelMaskDataset
from lightseg.data.datasets.paired_folder import PairedFolder
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.label_options import parse_classes
from lightseg.data.io.pairing import Pair, file_end, find_class_pairs
from lightseg.data.io.presence_map import PresenceMap
from lightseg.data.types import Split
from lightseg.errors import ConfigError, DataError, did_you_mean, require
from lightseg.labels import IGNORE

MissingClassMask = Literal["error", "absent", "void"]
"""Treatment of a class without a mask of an image."""

_BY_FOLDER = "{class}/{name}"
_NAME, _CLASS = "{name}", "{class}"


class MultilabelMaskFolder(PairedFolder):
    """Images and a mask for each class, where classes may overlap; the layouts are those of `PairedFolder`.

    A mask is 0 where its class is absent, and 1 or 255 where it is present. One class is the binary case.

    Args:
        classes: Class names in the order of the channels; there is no background.
        mask_files: Path of a mask below the folder of masks, without extension: `{class}/{name}`, with a folder for
            each class, `{name}_{class}`, with an ending for each class, or `{name}`, one TIFF or `.npy` file with a
            channel or a page for each class. `{name}` is the path of the image below its folder, `{class}` the class.
        positive: Mask values where the class is present, such as `[2]`. By default 1 or 255, of which all masks must
            use the same.
        ignore: Mask values that are void for the class, such as `[255]`; by default none.
        threshold: Least gray value where the class is present, such as 128; for masks with smooth edges or in a lossy
            format, such as JPEG.
        mask_channel: Channel of the masks that holds the values: `alpha`, or a number from 0 on, such as 0 for red.
        missing_mask: Treatment of a class without a mask of an image: `error`, `absent` everywhere in it, or `void`,
            not annotated in it.
        **kwargs: Options of `PairedFolder`, names of the folders, and of `FileDataModule`, reading of images, splits
            and groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    multilabel = True

    def __init__(
        self,
        classes: list[str],
        mask_files: str = _BY_FOLDER,
        positive: list[int] | None = None,
        ignore: list[int] | None = None,
        threshold: int | None = None,
        mask_channel: int | Literal["alpha"] | None = None,
        missing_mask: MissingClassMask = "error",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._classes = parse_classes(classes, least=1)
        if invalid := [name for name in classes if not name or set(name) & set("/\\{}")]:
            raise ConfigError(f"data.classes: {invalid[0]!r} cannot be part of a file name; rename it")
        require(
            missing_mask in get_args(MissingClassMask),
            f"data.missing_mask: must be error, absent or void, got {missing_mask!r}",
        )
        self._folder, self._suffix = _parse_template(mask_files)
        self._has_channels = _CLASS not in mask_files
        require(
            mask_channel is None or not self._has_channels,
            f"data.mask_channel: with mask_files: {mask_files} each class has a channel; remove one of the two",
        )
        self.presence_map = PresenceMap(positive, ignore, threshold, mask_channel)
        self._missing_mask: MissingClassMask = missing_mask

    @property
    def classes(self) -> list[str]:
        """Return the class names of the config."""
        return self._classes

    def find_datasets(self) -> Mapping[Split, MultilabelMaskDataset]:
        """Return the samples of all splits; `test` may be empty.

        Raises:
            ConfigError: If a list names one mask of several.
            DataError: If folders are missing, or images and masks do not pair up.
        """
        splits = self._find_splits()
        require(
            self._has_channels or not self._lists_pairs,
            "data.splits: the lists name one mask for each image; name the images alone, or, if a mask has a channel "
            'for each class, add  mask_files: "{name}"',
        )
        self._require_classes([pair for pairs in splits.values() for pair in pairs])
        absent_value = IGNORE if self._missing_mask == "void" else 0
        options = self.num_classes, self._has_channels, absent_value, self.in_channels, self.image_values
        return {
            split: MultilabelMaskDataset(self.root, pairs, self.presence_map, *options)
            for split, pairs in splits.items()
        }

    def _find_pairs(self, images: str, masks: str) -> list[Pair]:
        names = [""] if self._has_channels else self.classes
        ends = [(self._path(masks, name), self._suffix.replace(_CLASS, name)) for name in names]
        pairs = find_class_pairs(Path(self.root), images, ends, self._image_suffix, is_listed=bool(self._lists))
        if not self._lists:
            self._require_masks(pairs, masks)
        return pairs

    def _path(self, masks: str, name: str) -> str:
        """Return the folder of the masks of a class, relative to the root."""
        return f"{masks}/{self._folder.replace(_CLASS, name)}".rstrip("/")

    def _with_masks(self, split: Split, pairs: list[Pair]) -> list[Pair]:  # noqa: ARG002
        self._require_masks(pairs, self._folders[1])
        return pairs

    def _require_masks(self, pairs: Sequence[Pair], masks: str) -> None:
        """Check that each class has a mask of every image, unless it may be missing.

        Args:
            pairs: The samples.
            masks: Folder of the masks, relative to the root.

        Raises:
            DataError: If a class has no mask of an image.
        """
        for label, name in enumerate([""] if self._has_channels else self.classes):
            unpaired = [pair for pair in pairs if not (pair.mask, *pair.more)[label]]
            if unpaired and self._missing_mask == "error":
                first, more = unpaired[0], f", nor of {len(unpaired) - 1} more" * (len(unpaired) > 1)
                file = f"{self._path(masks, name)}/{first.name}{file_end(self._suffix.replace(_CLASS, name), '.*')}"
                kind = f"mask of {name}" if name else "mask"
                message = (
                    f"{Path(self.root) / first.image}: no {kind} for this image{more}; looked for {file}; add it, or "
                    "set missing_mask: absent, if there is none of the class in it, or void, if nobody has looked"
                )
                report(LayoutError("image without mask", message, [pair.image for pair in unpaired]))

    def _require_classes(self, pairs: Sequence[Pair]) -> None:
        """Check that each class has a mask of some image.

        Raises:
            DataError: If one has none, such as a misspelt one.
        """
        for label, name in enumerate([] if self._has_channels else self.classes):
            if pairs and not any((pair.mask, *pair.more)[label] for pair in pairs):
                folder = Path(self.root) / self._folders[1]
                names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
                file = f"{self._path(self._folders[1], name)}/*{file_end(self._suffix.replace(_CLASS, name), '.*')}"
                raise DataError(f"{self.root}: no mask of {name}; looked for {file}{did_you_mean(name, names, 8)}")

    def _unused_options(self) -> Iterator[tuple[str, object, object, str]]:
        yield from super()._unused_options()
        if self._lists_pairs:
            yield "missing_mask", self._missing_mask, "error", "the lists name every image and its mask"


def _parse_template(template: str) -> tuple[str, str]:
    """Return the folder, with a slash at its end, and the end of the stem in a template of mask paths.

    Raises:
        ConfigError: If it is none.
    """
    folder, name, suffix = template.partition(_NAME)
    text = re.sub(re.escape(_CLASS), "", folder + suffix)
    is_valid = bool(name) and folder[-1:] in ("", "/") and not set(text) & set("{}") and not template.startswith("/")
    require(
        is_valid,
        f'data.mask_files: {template!r} is no path of a mask; give "{{class}}/{{name}}", "{{name}}_{{class}}" or '
        '"{name}", where only a folder may be before {name}',
    )
    return folder, suffix
