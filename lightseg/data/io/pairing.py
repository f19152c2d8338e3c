"""Pairing of image and mask files by name, with an error for every kind of mismatch."""

import difflib
from collections.abc import Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Literal, NamedTuple

from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.image_files import EXTENSIONS, describe_folder, list_images, normal_name
from lightseg.data.io.name_matching import find_misnamed, find_suffix
from lightseg.data.types import Split
from lightseg.errors import DataError
from lightseg.files.names import IMAGE_SUFFIXES, UNREAD_SUFFIXES

_KINDS = ", ".join(sorted(IMAGE_SUFFIXES))

MissingMask = Literal["error", "skip", "background"]
"""Treatment of an image without a mask; a `background` pair has an empty mask path."""


class Pair(NamedTuple):
    """Image and mask, as paths relative to the root, and their common name.

    Attributes:
        name: Path of the image below its folder, without suffix and extension.
        image: Path of the image.
        mask: Path of the mask; where classes may overlap, that of the first class, or of all.
        more: Paths of the masks of further classes.
    """

    name: str
    image: str
    mask: str
    more: tuple[str, ...] = ()


Pairs = dict[Split, list[Pair]]
"""Pairs of each split."""


class _Files(NamedTuple):
    """Files of a dataset by name, for errors about images without a mask.

    Attributes:
        root: The dataset's folder.
        images: Image files by name, as paths relative to the root.
        masks: Mask files by name, likewise.
        mask_folder: The folder of the masks.
        mask_suffix: End of every mask's stem.
    """

    root: Path
    images: Mapping[str, str]
    masks: Mapping[str, str]
    mask_folder: Path
    mask_suffix: str

    def report_missing_masks(self, unpaired_images: Sequence[str], unpaired_masks: Sequence[str]) -> list[str]:
        """Report the images without a mask.

        A file with a wrong name is one error, not an image without a mask and a mask without an image.

        Returns:
            The masks without an image that no report has named.
        """
        suffix = "" if self.mask_suffix else find_suffix(self.images.keys(), self.masks.keys())
        misnamed = [] if suffix else find_misnamed(unpaired_images, unpaired_masks)
        if misnamed:
            report(self._misnamed_error(misnamed))
        if names := sorted(set(unpaired_images) - {image for image, _ in misnamed}):
            free_masks = sorted(set(unpaired_masks) - {mask for _, mask in misnamed})
            report(self._missing_mask_error(names, suffix, free_masks))
        if suffix:
            # the other masks are paired by the suffix, or ignored with it
            return [
                mask
                for mask in unpaired_masks
                if mask.endswith(suffix) and mask.removesuffix(suffix) not in self.images
            ]
        return sorted(set(unpaired_masks) - {mask for _, mask in misnamed})

    def _missing_mask_error(self, names: Sequence[str], suffix: str, free_masks: Sequence[str]) -> LayoutError:
        unread = _find_unread(self.mask_folder / f"{names[0]}{self.mask_suffix}")
        fix = unread or (self._suffix_fix(names, suffix) if suffix else self._name_fix(names[0], free_masks))
        message = (
            f"{self.root / self.images[names[0]]}: no mask for this image{_and_more(names)}; "
            f"looked for {self.mask_folder / names[0]}{file_end(self.mask_suffix, '.*')}; {fix}"
        )
        return LayoutError("image without mask", message, [self.images[name] for name in names])

    def _suffix_fix(self, names: Sequence[str], suffix: str) -> str:
        example = next(self.masks[name + suffix] for name in names if name + suffix in self.masks)
        return f'there is {example}: set mask_suffix: "{suffix}"'

    def _name_fix(self, name: str, free_masks: Sequence[str]) -> str:
        """Return the fix for an image without a mask, with the nearest name among the masks of no image."""
        near = difflib.get_close_matches(name, free_masks[:10_000], 1)
        fix = f"the nearest name is {self.masks[near[0]]}" if near else "add the mask or remove the image"
        return f"{fix}; or set missing_mask: skip, or background"

    def _misnamed_error(self, misnamed: Sequence[tuple[str, str]]) -> LayoutError:
        """Return the error for pairs whose names differ by a slip, with the name that the first mask should have."""
        name, mask_name = misnamed[0]
        image, mask = self.images[name], self.masks[mask_name]
        new_name = Path(mask).with_name(f"{Path(name).name}{file_end(self.mask_suffix, Path(mask).suffix)}")
        more = f" (and {len(misnamed) - 1} more like it)" if len(misnamed) > 1 else ""
        message = (
            f"{self.root / image}: no mask for this image{more}, but {mask} has a similar name; "
            f"rename {mask} to {new_name}"
        )
        files = [file for image, mask in misnamed for file in (self.images[image], self.masks[mask])]
        return LayoutError("misnamed file", message, files)


def find_pairs(
    root: Path,
    images: str,
    masks: str,
    image_suffix: str = "",
    mask_suffix: str = "",
    missing_mask: MissingMask = "error",
    is_listed: bool = False,
) -> list[Pair]:
    """Pair every image with the mask of the same relative path and stem, sorted by name.

    Names are compared in Unicode's normal form C, since some systems write an é as two characters.

    Args:
        root: The dataset's folder.
        images: Folder of the images, relative to the root; may be nested.
        masks: Folder of the masks, nested in the same way.
        image_suffix: End of every image's stem, or with the extension, such as `.jpg`; files without it are ignored.
        mask_suffix: End of every mask's stem, such as `_mask`, likewise.
        missing_mask: Treatment of an image without a mask.
        is_listed: Whether lists name the samples, so that no file needs a counterpart; every image has a pair then.

    Raises:
        DataError: If a folder is empty, two files have one name, or an image or a mask has no counterpart.
    """
    image_files = _files_by_name(root, images, image_suffix)
    mask_files = _files_by_name(root, masks, mask_suffix)
    _remove_shared_files(Path(images), Path(masks), image_files, mask_files, len(image_suffix) < len(mask_suffix))
    if list(image_files) == list(mask_files):
        # the usual case; a million names need no search
        return sorted(starmap(Pair, zip(image_files, image_files.values(), mask_files.values(), strict=True)))
    unpaired_images = sorted(image_files.keys() - mask_files.keys())
    unpaired_masks = sorted(mask_files.keys() - image_files.keys())
    if unpaired_images and missing_mask == "error" and not is_listed:
        files = _Files(root, image_files, mask_files, root / masks, mask_suffix)
        unpaired_masks = files.report_missing_masks(unpaired_images, unpaired_masks)
    if missing_mask == "background":
        _require_same_case(root, unpaired_images, unpaired_masks, image_files, mask_files)
    if unpaired_masks and not is_listed:
        report(_missing_image_error(root, unpaired_masks, mask_files, root / images, image_suffix))
    keeps_all_images = is_listed or missing_mask == "background"
    names = sorted(image_files if keeps_all_images else image_files.keys() & mask_files.keys())
    return [Pair(name, image_files[name], mask_files.get(name, "")) for name in names]


def find_class_pairs(
    root: Path, images: str, masks: Sequence[tuple[str, str]], image_suffix: str = "", is_listed: bool = False
) -> list[Pair]:
    """Pair every image with the masks of all classes, sorted by name; a missing mask has an empty path.

    Args:
        root: The dataset's folder.
        images: Folder of the images, relative to the root; may be nested.
        masks: Folder and end of the stem of the masks of each class. Of a file with several ends, the longest counts.
        image_suffix: End of every image's stem; files without it are ignored.
        is_listed: Whether lists name the samples, so that no mask needs an image.

    Raises:
        DataError: If there is no image, two files have one name, or a mask has no image.
    """
    image_files = _files_by_name(root, images, image_suffix)
    columns = []
    for folder, suffix in masks:
        mask_files = _files_by_name(root, folder, suffix, may_be_empty=True) if (root / folder).is_dir() else {}
        longer = tuple(end for place, end in masks if place == folder and end != suffix and end.endswith(suffix))
        mask_files = {
            name: file
            for name, file in mask_files.items()
            if not any((file if _has_extension(end) else file.rpartition(".")[0]).endswith(end) for end in longer)
        }
        _remove_shared_files(Path(images), Path(folder), image_files, mask_files, len(image_suffix) < len(suffix))
        columns.append(mask_files)
    for mask_files in columns:
        unpaired_images = sorted(image_files.keys() - mask_files.keys())
        unpaired_masks = sorted(mask_files.keys() - image_files.keys())
        _require_same_case(root, unpaired_images, unpaired_masks, image_files, mask_files)
        if unpaired_masks and not is_listed:
            report(_missing_image_error(root, unpaired_masks, mask_files, root / images, image_suffix))
    rows = ([mask_files.get(name, "") for mask_files in columns] for name in sorted(image_files))
    return [
        Pair(name, image_files[name], first, tuple(more))
        for name, (first, *more) in zip(sorted(image_files), rows, strict=True)
    ]


def _remove_shared_files(
    images: Path, masks: Path, image_files: dict[str, str], mask_files: dict[str, str], has_longer_mask_suffix: bool
) -> None:
    """Assign each file of a common folder to the images or to the masks, in place.

    Where both have one folder, the longer suffix decides; where the masks lie in the folder of the images, they are
    no images.
    """
    if images == masks:
        general, specific = (image_files, mask_files) if has_longer_mask_suffix else (mask_files, image_files)
    elif masks.is_relative_to(images):
        general, specific = image_files, mask_files
    else:
        return
    specific_files = set(specific.values())
    for name in [name for name, file in general.items() if file in specific_files]:
        del general[name]


def _missing_image_error(
    root: Path, unpaired: Sequence[str], mask_files: Mapping[str, str], image_folder: Path, image_suffix: str
) -> LayoutError:
    fix = _find_unread(image_folder / f"{unpaired[0]}{image_suffix}") or "add the image or remove the mask"
    message = (
        f"{root / mask_files[unpaired[0]]}: no image for this mask{_and_more(unpaired)}; "
        f"looked for {image_folder / unpaired[0]}{file_end(image_suffix, '.*')}; {fix}"
    )
    return LayoutError("mask without image", message, [mask_files[name] for name in unpaired])


def _find_unread(path: Path) -> str:
    """Return the fix for a missing file where one of its name has a format that is not read; else an empty text.

    Args:
        path: Path of the file without its extension.
    """
    if not path.parent.is_dir():
        return ""
    for file in sorted(path.parent.iterdir()):
        if normal_name(file.stem) == path.name and file.suffix.lower() in UNREAD_SUFFIXES:
            return f"{file.name} has a format that is not read: convert it to one of {_KINDS}"
    return ""


def _require_same_case(
    root: Path,
    unpaired_images: Sequence[str],
    unpaired_masks: Sequence[str],
    image_files: Mapping[str, str],
    mask_files: Mapping[str, str],
) -> None:
    """Check that no image without a mask, which would be background, has a mask whose name differs only by case."""
    masks = {name.casefold(): name for name in unpaired_masks}
    for name in unpaired_images:
        if name.casefold() in masks:
            image, mask = image_files[name], mask_files[masks[name.casefold()]]
            message = f"{root / image}: no mask of this name, but {mask} differs by its case alone; rename one of them"
            report(LayoutError("image without mask", message, [image, mask]))
            return


def _files_by_name(root: Path, folder: str, suffix: str, may_be_empty: bool = False) -> dict[str, str]:
    """Return the images of a folder: relative path without suffix and extension → path relative to the root.

    Raises:
        DataError: If the folder is missing, or empty although it must not be, or two files have one name.
    """
    prefix = "" if Path(folder) == Path() else f"{Path(folder).as_posix().rstrip('/')}/"
    files: dict[str, str] = {}
    if not (root / folder).is_dir():
        raise DataError(f"{root / folder}: {describe_folder(root / folder, [])}")
    for path in list_images(root / folder):
        base = path if _has_extension(suffix) else path.rpartition(".")[0]
        if not base.endswith(suffix):
            continue
        name, relative = normal_name(base.removesuffix(suffix)), prefix + path
        if name in files:
            message = (
                f"{root}: {files[name]} and {relative} have one name, so their counterpart is ambiguous; "
                "rename or remove one of them"
            )
            report(LayoutError("ambiguous name", message, [files[name], relative]))
        files[name] = relative
    if not files and not may_be_empty:
        ending = f" whose name ends in {suffix!r}" if suffix else ""
        content = describe_folder(root / folder, [])
        raise DataError(f"{root / folder}: no file here is an image{ending}; {content}; images are {_KINDS}")
    return files


def _has_extension(suffix: str) -> bool:
    """Return whether the end of a name includes the extension of an image."""
    return "." in suffix and suffix.rpartition(".")[2].lower() in EXTENSIONS


def file_end(suffix: str, extension: str) -> str:
    """Return the end of a file's name from that of its stem."""
    return suffix if _has_extension(suffix) else f"{suffix}{extension}"


def _and_more(names: Sequence[str]) -> str:
    return f", nor for {len(names) - 1} more" if len(names) > 1 else ""
