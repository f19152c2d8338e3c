"""Recognition of a mask for each class, where classes may overlap: a folder, a file or a channel for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightseg.data.io.images import name_file_in_errors
from lightseg.data.io.pairing import normal_name
from lightseg.data.io.pixels import decode
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.scaffold.class_mask_names import ClassMaskNames, match_names
from lightseg.scaffold.class_names import ClassNames, find_class_names
from lightseg.scaffold.class_presence import find_presence
from lightseg.scaffold.listing import Listing
from lightseg.scaffold.mask_layout import find_lists, is_image_name, is_mask_name

_PAIRED = 0.5
"""Share of the masks with the name of an image from which on a mask holds all classes."""

_PROBED = 8
"""Masks whose channels are counted."""

_CHANNELS = "in the order of the channels; pixels may have several, or none, and there is no background"

_ONE_MASK_OPTIONS = frozenset(("colors", "mask_suffix", "reduce_zero_label", "values"))
"""Options of a mask that holds all classes."""


@dataclass(frozen=True)
class ClassMaskLayout:
    """Images and a mask for each class.

    Attributes:
        options: Options of a `MultilabelMaskFolder`, but for its root.
        reasons: Comments on them.
        content: Description of the layout, half a line.
    """

    options: dict[str, Any]
    reasons: dict[str, str]
    content: str


def find_class_masks(listing: Listing, answers: Mapping[str, Any]) -> ClassMaskLayout | None:
    """Return the layout of a folder with a mask file for each class; None for any other.

    Args:
        listing: Files below the folder.
        answers: Options of the data that the user states.

    Raises:
        DataError: If it is unclear where a class is present in its mask.
    """
    if _ONE_MASK_OPTIONS & answers.keys():
        return None
    for images, masks in _folders(listing, answers):
        match = _match_folders(listing, images, masks)
        # a folder of masks with one for each class in it holds nothing else
        are_masks = match is not None and masks != "." and "/" in match.mask_files
        presence = None if match is None else find_presence(listing.root, match.files, answers, are_masks)
        if match is not None and presence is not None:
            content = f"a mask for each class of an image, {'' if masks == '.' else f'{masks}/'}{match.mask_files}"
            options, reasons = _folder_options(listing, images, masks, match), {}
            names = _class_names(listing)
            if names and set(names.names) == match.files.keys():
                options["classes"] = names.names
                reasons["classes"] = f"names of {names.file.name}, {_CHANNELS}"
            else:
                reasons["classes"] = f"as the paths of the masks name them, {_CHANNELS}"
            return ClassMaskLayout({**options, **presence[0]}, {**reasons, **presence[1]}, content)
    return None


def find_class_channels(listing: Listing, options: Mapping[str, Any]) -> ClassMaskLayout | None:
    """Return the layout of a folder whose masks have a channel, or a page, for each class; None for any other.

    Args:
        listing: Files below the folder.
        options: Options of a `MaskFolder` for it.
    """
    masks, suffix = options.get("masks", "masks"), options.get("mask_suffix", "")
    # the end may include the extension
    files = [f for f in _stems(listing, masks).values() if f.rpartition(".")[0].endswith(suffix) or f.endswith(suffix)]
    number = max((_count_channels(listing.root / files[index]) for index in spread(_PROBED, len(files))), default=1)
    if number == 1:
        return None
    names = _class_names(listing)
    is_named = names is not None and len(names.names) == number
    classes = names.names if names and is_named else [f"class_{index}" for index in range(number)]
    source = f"names of {names.file.name}" if names and is_named else "rename them: the names are made up"
    kept_options = {name: value for name, value in options.items() if name != "mask_suffix"}
    return ClassMaskLayout(
        {"classes": classes, **kept_options, "mask_files": f"{{name}}{suffix}"},
        {"classes": f"{source}, {_CHANNELS}"},
        f"masks with {number} channels, one for each class",
    )


def _class_names(listing: Listing) -> ClassNames | None:
    """Return the names of classes in a file beside the data; None without one."""
    return find_class_names(listing.root, [path for path in listing.texts if path.count("/") <= 1])


def _folder_options(listing: Listing, images: str, masks: str, match: ClassMaskNames) -> dict[str, Any]:
    """Return the options that name the files, but for those with their defaults."""
    options = {"images": images, "masks": masks, "image_suffix": match.image_suffix, "mask_files": match.mask_files}
    defaults = {"images": "images", "masks": "masks", "image_suffix": "", "mask_files": "{class}/{name}"}
    options = {name: value for name, value in options.items() if value != defaults[name]}
    stems = {f"{name.partition(':')[2]}{match.image_suffix}" for name in match.images}
    lists = {} if "train" in listing.splits else find_lists(listing, stems, match.image_suffix)
    return {"classes": sorted(match.files), **options, **({"splits": lists} if lists else {})}


def _folders(listing: Listing, answers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs of folders that may hold the images and the masks; `.` is the folder itself."""
    groups = listing.groups()
    named_images = [answers["images"]] if "images" in answers else [name for name in groups if is_image_name(name)]
    named_masks = [answers["masks"]] if "masks" in answers else [name for name in groups if is_mask_name(name)]
    if len(named_images) > 1 or len(named_masks) > 1:
        return
    if named_masks:
        remainder = [name for name in groups if name not in named_masks]
        yield (named_images or (remainder if len(remainder) == 1 else named_masks))[0], named_masks[0]
    elif named_images:
        # folders of classes beside that of the images, or masks among the images
        yield named_images[0], "."
        yield named_images[0], named_images[0]
    else:
        yield ".", "."


def _stems(listing: Listing, group: str) -> dict[str, str]:
    """Return the path of each image below a folder by its split and its path below the folder, without extension."""
    stems = {}
    for name, places in listing.groups().items():
        for place, files in places.items():
            path = "/".join(part for part in (name, place.inside) if part not in ("", "."))
            if group != "." and not f"{path}/".startswith(f"{group}/"):
                continue
            subfolder = path if group == "." else path.removeprefix(group).lstrip("/")
            for file in files:
                below = f"{subfolder}/{file.rpartition('.')[0]}".lstrip("/")
                stems[normal_name(f"{place.split or ''}:{below}")] = f"{place.folder}/{file}".lstrip("/")
    return stems


def _match_folders(listing: Listing, images: str, masks: str) -> ClassMaskNames | None:
    """Return how the masks of a folder name their images and classes; None if they do not."""
    mask_stems = _stems(listing, masks)
    image_stems = mask_stems if images == masks else _stems(listing, images)
    if images != masks:
        mask_files, image_files = set(mask_stems.values()), set(image_stems.values())
        # one of the two folders may hold the other
        mask_stems = {stem: file for stem, file in mask_stems.items() if masks != "." or file not in image_files}
        image_stems = {stem: file for stem, file in image_stems.items() if images != "." or file not in mask_files}
        if len(image_stems.keys() & mask_stems.keys()) >= _PAIRED * max(len(mask_stems), 1):
            return None
    return match_names(image_stems, mask_stems, is_one_folder=images == masks)


def _count_channels(path: Path) -> int:
    """Return the channels of a mask that are classes; 1 for ids and colors, 0 for a file that cannot be read."""
    try:
        with name_file_in_errors(path, "mask"):
            pixels = decode(path, channels=0)
    except DataError:
        # the doctor lists these
        return 0
    number = int(pixels.array.shape[2])
    if pixels.has_alpha or pixels.is_cmyk or pixels.palette is not None or pixels.lossy:
        return 1
    is_flagged = pixels.array.max(initial=0) <= 1 and bool(np.ptp(pixels.array, axis=2).any())
    return number if number != 3 or pixels.has_bands or is_flagged else 1
