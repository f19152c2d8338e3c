"""Recognition of a mask for each class, where classes may overlap: a folder, a file or a channel for each."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lightseg.data.io.images import name_file_in_errors
from lightseg.data.io.masks import LossyMaskError, read_mask
from lightseg.data.io.pairing import normal_name
from lightseg.data.io.pixels import decode
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.labels import IGNORE
from lightseg.scaffold.class_names import ClassNames, find_class_names
from lightseg.scaffold.listing import Listing
from lightseg.scaffold.mask_labels import MOST_LABELS, count_labels, find_labels
from lightseg.scaffold.mask_layout import END, common_ends, find_lists, is_image_name, is_mask_name

_MATCHED = 0.9
"""Least share of the masks whose name tells image and class."""

_PAIRED = 0.5
"""Share of the masks with the name of an image from which on a mask holds all classes."""

_SAMPLED = 2000
"""Masks whose names are tried before all others."""

_PROBED = 8
"""Masks of each class that are read."""

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


class _Match(NamedTuple):
    """Names of masks, each divided into the name of its image and its class.

    Attributes:
        mask_files: Template of their paths, as `MultilabelMaskFolder` takes it.
        image_suffix: End of the names of images.
        images: Names of the images that have a mask.
        files: Files of the masks of each class.
    """

    mask_files: str
    image_suffix: str
    images: set[str]
    files: dict[str, list[str]]

    @property
    def num_masks(self) -> int:
        """Return the number of masks."""
        return sum(map(len, self.files.values()))


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
        presence = None if match is None else _find_presence(listing.root, match.files, answers, are_masks)
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


def _folder_options(listing: Listing, images: str, masks: str, match: _Match) -> dict[str, Any]:
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


def _match_folders(listing: Listing, images: str, masks: str) -> _Match | None:
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
    stems = list(mask_stems)
    probed_stems = {stems[index]: mask_stems[stems[index]] for index in spread(_SAMPLED, len(stems))}
    # most folders have no masks of classes, and may have a million images
    if _best_match(image_stems, probed_stems, images == masks) is None:
        return None
    return _best_match(image_stems, mask_stems, images == masks)


def _best_match(image_stems: Mapping[str, str], mask_stems: Mapping[str, str], is_one_folder: bool) -> _Match | None:
    """Return how most names of masks are divided; None if they are not."""
    best: _Match | None = None
    tails = [end for end in common_ends(mask_stems) if is_mask_name(end)]
    for image_suffix in _image_suffixes(mask_stems if is_one_folder else image_stems, is_one_folder):
        names = {stem.removesuffix(image_suffix) for stem in image_stems if stem.endswith(image_suffix)}
        candidates = {s: file for s, file in mask_stems.items() if not image_suffix or not s.endswith(image_suffix)}
        for tail in [*tails, ""]:
            stems = {stem.removesuffix(tail): file for stem, file in candidates.items() if stem.endswith(tail)}
            for match in _matches(names, stems, image_suffix, tail):
                num_images = len(match.images) if is_one_folder and not image_suffix else 0
                is_better = best is None or match.num_masks > best.num_masks
                if is_better and match.num_masks >= _MATCHED * (len(candidates) - num_images) and _has_classes(match):
                    best = match
    return best


def _image_suffixes(stems: Mapping[str, str], is_one_folder: bool) -> list[str]:
    """Return the common ends of the names of images; where masks are among them, those that are words for images."""
    # in a folder for each image, the name itself is the end
    names = {f"/{stem.rpartition('/')[2]}" for stem in stems if "/" in stem}
    ends = [end for end in (*common_ends(stems), *sorted(names)) if is_image_name(end)]
    return ["", *ends] if is_one_folder else [*common_ends(stems), *ends]


def _has_classes(match: _Match) -> bool:
    """Return whether the classes are several, with several masks each, and none is a word for all masks."""
    number = len(match.files)
    return 2 <= number <= MOST_LABELS and match.num_masks >= 2 * number and not any(map(is_mask_name, match.files))


def _matches(names: Set[str], stems: Mapping[str, str], image_suffix: str, tail: str) -> Iterator[_Match]:
    """Yield the masks by class, for each place where a name may have the class.

    Args:
        names: Names of the images.
        stems: Files of the masks by name.
        image_suffix: End of the names of images.
        tail: End of the names of masks, behind the class.
    """
    for split in (_split_first, _split_last, _split_end):
        images, files = set[str](), dict[tuple[str, str], list[str]]()
        for stem, file in stems.items():
            for name, template, label in split(stem):
                if label and name in names:
                    images.add(name)
                    files.setdefault((template, label), []).append(file)
                    break
        if len({template for template, _ in files}) == 1:
            template = next(iter(files))[0]
            yield _Match(template + tail, image_suffix, images, {label: paths for (_, label), paths in files.items()})


def _split_first(stem: str) -> Iterator[tuple[str, str, str]]:
    """Yield the image, the template and the class of a mask in a folder for each class."""
    split, _, path = stem.partition(":")
    label, _, name = path.partition("/")
    yield f"{split}:{name}", "{class}/{name}", label


def _split_last(stem: str) -> Iterator[tuple[str, str, str]]:
    """Yield the image, the template and the class of a mask in a folder for each image."""
    name, _, label = stem.rpartition("/")
    yield name, "{name}/{class}", label


def _split_end(stem: str) -> Iterator[tuple[str, str, str]]:
    """Yield the images, the templates and the classes of a mask whose name may end in its class, the longest first."""
    for position in sorted((match.start() for match in re.finditer(END, stem)), reverse=True):
        yield stem[:position], f"{{name}}{stem[position]}{{class}}", stem[position + 1 :]


def _find_presence(
    root: Path, files: Mapping[str, Sequence[str]], answers: Mapping[str, Any], are_masks: bool
) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return the options that say where a class is present in its mask, and their reasons.

    Args:
        root: Folder of the data.
        files: Masks of each class, relative to it.
        answers: Options of the data that the user states.
        are_masks: Whether the files are masks, whatever they hold.

    Returns:
        None if a mask holds several classes, or no classes at all.

    Raises:
        DataError: If some masks hold 1 and others 255, or they hold colors.
    """
    if {"positive", "threshold"} & answers.keys():
        return {}, {}
    channel = answers.get("mask_channel")
    probed_masks = [
        (label, root / paths[index]) for label, paths in files.items() for index in spread(_PROBED, len(paths))
    ]
    contents: dict[str, list[set[int]]] = {}
    for label, path in probed_masks:
        try:
            labels = count_labels(read_mask(path, channel=-1 if channel == "alpha" else channel)).keys()
        except LossyMaskError:
            return _smooth_presence([path for _, path in probed_masks])
        except DataError:
            # the doctor lists these
            continue
        values = {value for value in labels if isinstance(value, int)}
        if len(values) > MOST_LABELS:
            return _smooth_presence([path for _, path in probed_masks])
        if len(values) < len(labels):
            if not are_masks:
                return None
            raise DataError(
                f"{path}: a mask of {label} alone, in colors; save such masks as 0 and 1, or name the channel that "
                "holds these in all of them: --data.mask_channel 0"
            )
        contents.setdefault(label, []).append(values - {0})
    return _exact_presence(root, contents, answers)


def _exact_presence(
    root: Path, contents: Mapping[str, Sequence[Set[int]]], answers: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return the options for masks that hold these values beside 0; see `_find_presence`."""
    present = set[int]()
    options: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for label, masks in contents.items():
        values = set[int]().union(*masks)
        if len(values) > 1 and IGNORE in values:
            if values == {1, IGNORE} and "ignore" not in answers and not any(values <= mask for mask in masks):
                raise DataError(
                    f"{root}: some masks of {label} hold 1 and others 255; if both are where the class is present, add "
                    '--data.positive "[1, 255]"; if 255 is void, --data.ignore "[255]"'
                )
            options["ignore"], reasons["ignore"] = [IGNORE], "void for its class: never trained on, never scored"
            values.remove(IGNORE)
        if len(values) > 1:
            return None
        present |= values
    if present - {1} and present - {IGNORE}:
        options["positive"] = sorted(present)
        reasons["positive"] = "mask value where its class is present"
    return options, reasons


def _smooth_presence(masks: Sequence[Path]) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return the options for masks with smooth edges or in a lossy format; see `_find_presence`."""
    try:
        labels = find_labels(masks, None)
    except DataError:
        return None
    if "threshold" not in labels.options:
        return None
    reason = "the masks have smooth edges: a class is present from this gray value on"
    return {"threshold": labels.options["threshold"]}, {"threshold": reason}


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
