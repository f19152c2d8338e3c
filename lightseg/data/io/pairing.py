"""Finding image and mask files and which belong together, with an answer for every way in which they may not."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from lightseg.data.io.error_collector import report
from lightseg.errors import DataError
from lightseg.files.names import IMAGE_SUFFIXES
from lightseg.files.walk import walk

_KINDS = ", ".join(sorted(IMAGE_SUFFIXES))
_EXTENSIONS = {suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES}
_DROPPINGS = (".", "__")
"""First characters of the names of folders that editors and systems leave."""

MissingMask = Literal["error", "skip", "background"]

_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that tables, lists and hashes of names cannot hold: control characters, and bytes that are not UTF-8."""


class Pair(NamedTuple):
    """Image and its mask, as paths relative to the root, and the name they share."""

    name: str
    image: str
    mask: str


class UnpairedError(DataError):
    """Images without masks, masks without images, or files that share a name.

    Args:
        kind: Which of these.
        message: The message.
        files: All of them, as paths relative to the root.
    """

    def __init__(self, kind: str, message: str, files: Sequence[str]) -> None:
        super().__init__(message)
        self.kind, self.files = kind, list(files)


def require(root: Path, paths: Sequence[str], hint: str) -> None:
    """Check that files or folders are there.

    Args:
        root: The dataset's folder.
        paths: Paths relative to the root.
        hint: How to get the data.

    Raises:
        DataError: If any is missing; names what was looked for and what is there.
    """
    missing = [name for name in paths if not (root / name).exists()]
    if missing:
        raise DataError(f"{root}: {', '.join(missing)} not found; {describe(root, missing)}\n{hint}")


def describe(root: Path, paths: Iterable[str]) -> str:
    """Return what is in a folder instead of what was looked for there, with a did-you-mean."""
    if not root.is_dir():
        beside = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
        near = difflib.get_close_matches(root.name, beside, 1)
        tried = "" if root.is_absolute() else f" (it is relative to the working directory: {root.absolute()})"
        return f"the folder does not exist{tried}" + (f"; did you mean {root.parent / near[0]}?" if near else "")
    entries = sorted(entry.name + "/" * entry.is_dir() for entry in root.iterdir())
    if not entries:
        return "the folder is empty"
    bare = {name.rstrip("/").lower(): name for name in entries}
    near = [bare[match] for name in paths for match in difflib.get_close_matches(name.lower(), bare, 1, 0.7)]
    listed = ", ".join(entries[:8]) + (f" and {len(entries) - 8} more" if len(entries) > 8 else "")
    return f"it holds {listed}" + (f"; did you mean {' and '.join(dict.fromkeys(near))}?" if near else "")


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

    Names are compared in Unicode's normal form C, for some systems write an é as two characters.

    Args:
        root: The dataset's folder.
        images: Folder of the images, relative to the root; may be nested.
        masks: Folder of the masks, nested likewise.
        image_suffix: End of every image's stem; files without it are left out.
        mask_suffix: End of every mask's stem, such as `_mask`; files without it are left out.
        missing_mask: For an image without a mask: `error`; `skip` it; or `background`, a pair whose mask is nothing.
        is_listed: Whether lists name the samples, so that no file needs a counterpart; every image has a pair then.

    Raises:
        DataError: If a folder is empty, two files claim one name, or an image or a mask has no counterpart.
    """
    image_files = _by_name(root, images, image_suffix)
    mask_files = _by_name(root, masks, mask_suffix)
    if Path(images) == Path(masks):
        # the one whose end is the longer tells them apart
        shorter, longer = (
            (image_files, mask_files) if len(image_suffix) < len(mask_suffix) else (mask_files, image_files)
        )
        used = set(longer.values())
        for name in [name for name, file in shorter.items() if file in used]:
            del shorter[name]
    elif Path(masks).is_relative_to(Path(images)):
        used = set(mask_files.values())
        image_files = {name: file for name, file in image_files.items() if file not in used}
    if list(image_files) == list(mask_files):
        # as it mostly is: a million names need not be looked for
        return sorted(map(Pair._make, zip(image_files, image_files.values(), mask_files.values(), strict=True)))
    lonely_images = sorted(image_files.keys() - mask_files.keys())
    if lonely_images and missing_mask == "error" and not is_listed:
        first = image_files[lonely_images[0]]
        hint = _suffix_hint(lonely_images[0], mask_files, mask_suffix)
        message = (
            f"{root / first}: no mask for this image{_and_more(lonely_images)}; "
            f"looked for {root / masks / lonely_images[0]}{mask_suffix}.*; {hint}"
            + ("" if "set mask_suffix" in hint else "; or set missing_mask: skip, or background")
        )
        report(UnpairedError("image without mask", message, [image_files[name] for name in lonely_images]))
    lonely_masks = sorted(mask_files.keys() - image_files.keys())
    if missing_mask == "background":
        _require_no_other_spelling(root, lonely_images, lonely_masks, image_files, mask_files)
    if lonely_masks and not is_listed:
        first = mask_files[lonely_masks[0]]
        message = (
            f"{root / first}: no image for this mask{_and_more(lonely_masks)}; "
            f"looked for {root / images / lonely_masks[0]}{image_suffix}.*; add the image or remove the mask"
        )
        report(UnpairedError("mask without image", message, [mask_files[name] for name in lonely_masks]))
    keeps_lonely = is_listed or missing_mask == "background"
    names = sorted(image_files if keeps_lonely else image_files.keys() & mask_files.keys())
    return [Pair(name, image_files[name], mask_files.get(name, "")) for name in names]


def _require_no_other_spelling(
    root: Path,
    lonely_images: Sequence[str],
    lonely_masks: Sequence[str],
    image_files: Mapping[str, str],
    mask_files: Mapping[str, str],
) -> None:
    """See that no image that is about to be taken for all background has a mask whose name differs by case alone."""
    masks = {name.casefold(): name for name in lonely_masks}
    for name in lonely_images:
        if name.casefold() in masks:
            image, mask = image_files[name], mask_files[masks[name.casefold()]]
            message = f"{root / image}: no mask of this name, but {mask} differs by its case alone; rename one of them"
            report(UnpairedError("image without mask", message, [image, mask]))
            return


def _by_name(root: Path, folder: str, suffix: str) -> dict[str, str]:
    """Relative path without suffix and extension → path relative to the root."""
    prefix = "" if Path(folder) == Path() else f"{Path(folder).as_posix().rstrip('/')}/"
    files: dict[str, str] = {}
    if not (root / folder).is_dir():
        raise DataError(f"{root / folder}: {describe(root / folder, [])}")
    for inside, names in walk(f"{root / folder}", _DROPPINGS):
        for file in names:
            # as text: a million files are named in a second so, and in half a minute as paths
            path = inside + file
            stem, _, extension = path.rpartition(".")
            if not (extension in _EXTENSIONS or extension.lower() in _EXTENSIONS) or not stem.endswith(suffix):
                continue
            name, relative = stem.removesuffix(suffix), prefix + path
            if not name.isascii() or not name.isprintable():
                name = _checked_name(root, relative, name)
            if name in files:
                message = (
                    f"{root}: {files[name]} and {relative} have one name, so their counterpart is ambiguous; "
                    "rename or remove one of them"
                )
                report(UnpairedError("ambiguous name", message, [files[name], relative]))
            files[name] = relative
    if not files:
        ending = f" whose name ends in {suffix!r}" if suffix else ""
        raise DataError(
            f"{root / folder}: no file here is an image{ending}; {describe(root / folder, [])}; images are {_KINDS}"
        )
    return files


def _checked_name(root: Path, file: str, name: str) -> str:
    """Return a name in normal form C.

    Raises:
        DataError: If it cannot be written as text.
    """
    if _UNWRITABLE.search(file):
        raise DataError(f"{root}: the name {file!a} is not UTF-8 or holds a control character; rename the file")
    return unicodedata.normalize("NFC", name)


def _and_more(names: Sequence[str]) -> str:
    return f", nor for {len(names) - 1} more" if len(names) > 1 else ""


def _suffix_hint(name: str, masks: Mapping[str, str], mask_suffix: str) -> str:
    """Return the likeliest reason why this image has no mask."""
    longer = [mask.removeprefix(name) for mask in masks if mask.startswith(name) and not mask[len(name)].isalnum()]
    if longer and not mask_suffix:
        return f'there is {masks[name + longer[0]]}: set mask_suffix: "{longer[0]}"'
    near = difflib.get_close_matches(name, list(masks)[:10_000], 1)
    return f"the nearest name is {masks[near[0]]}" if near else "add the mask or remove the image"
