"""Recognition of images and masks: by the names of their folders, the ends of their names, or their content."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from lightseg.data.datasets.paired_folder import is_header, parse_pair
from lightseg.data.io.image_files import normal_name
from lightseg.data.io.masks import read_mask
from lightseg.data.splits import SPLIT_OF
from lightseg.data.types import SPLITS
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.files.names import IMAGE_SUFFIXES
from lightseg.scaffold.listing import Listing
from lightseg.scaffold.mask_labels import MOST_LABELS, count_labels

_IMAGE_NAMES = frozenset(
    ("image", "img", "jpegimage", "pngimage", "photo", "picture", "pic", "rgb", "input", "raw", "leftimg8bit")
)
_MASK_NAMES = frozenset(
    (
        *("mask", "label", "annotation", "annot", "ann", "gt", "groundtruth", "target", "trimap", "gtfine", "labelid"),
        *("segmentationclass", "segmentationclassraw", "segmentationclasspng", "segmentation", "seg", "segmap"),
        "gtfinelabelid",
    )
)
"""Names of folders and ends of file names, in lower case, without separators and a plural s."""

_PAIRED = 0.5
"""Least share of the masks that have an image, for folders whose names do not tell."""

_PROBED, _MOST_ENDS = 8, 10

END = re.compile(r"(?<=.)[_\-. ](?=[^\d/]+[^/]*$)")
"""Separator at which the end of a name may begin."""


def is_image_name(name: str) -> bool:
    """Return whether a name is a common one for a folder of images."""
    return _plain(name) in _IMAGE_NAMES


def is_mask_name(name: str) -> bool:
    """Return whether a name is a common one for a folder or the end of the names of masks."""
    return _plain(name) in _MASK_NAMES


def find_mask_options(listing: Listing, answers: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options of a `MaskFolder` for a folder; None if it holds no masks.

    Args:
        listing: Files below the folder.
        answers: Options of the data that the user states.

    Raises:
        DataError: If several folders may hold the masks or the images.
    """
    stems = {group: _stems(places) for group, places in listing.groups().items()}
    pair = _find_groups(listing, stems, answers)
    if pair is None:
        options = _pair_by_extension(listing) or _pair_by_folder(listing)
        if options is None:
            return None
        images, image_suffix = options["images"], ""
    else:
        images, masks = pair
        if images != masks:
            images, masks = _deepen(listing, images, masks), _deepen(listing, masks, images)
            stems |= {path: _nested_stems(listing, path) for path in (images, masks) if "/" in path}
        image_suffix, mask_suffix = _find_suffixes(stems.get(images, set()), stems.get(masks, set()), images == masks)
        options = {"images": images, "masks": masks, "image_suffix": image_suffix, "mask_suffix": mask_suffix}
    defaults = {"images": "images", "masks": "masks", "image_suffix": "", "mask_suffix": ""}
    options = {name: value for name, value in options.items() if value != defaults[name]}
    if "train" not in listing.splits and (lists := find_lists(listing, stems.get(images, set()), image_suffix)):
        return {**options, "splits": lists}
    return options


def _find_groups(listing: Listing, stems: Mapping[str, set[str]], answers: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the groups of folders that hold the images and the masks; None if none holds masks.

    Raises:
        DataError: If several may.
    """
    masks = answers.get("masks") or _only(listing, [group for group in stems if is_mask_name(group)], "masks")
    images = answers.get("images") or _only(listing, [group for group in stems if is_image_name(group)], "images")
    if masks and images:
        return images, masks
    if masks:
        others = [group for group in stems if group != masks]
        partners = (
            others if "masks" in answers else [group for group in others if _are_paired(stems[group], stems[masks])]
        )
        images = _only(listing, partners, "images")
        return (images, masks) if images else _within(masks, stems)
    if images:
        partners = [group for group in stems if group != images and _are_paired(stems[images], stems[group])]
        masks = _only(listing, [group for group in partners if _holds_masks(listing, group)], "masks")
        return (images, masks) if masks else _within(images, stems)
    if len(stems) == 2 and _are_paired(*stems.values()):
        mask_groups = [group for group in stems if _holds_masks(listing, group)]
        # both: drawings in folders of classes
        if len(mask_groups) == 1:
            return next(group for group in stems if group != mask_groups[0]), mask_groups[0]
    return _within(".", stems)


def _deepen(listing: Listing, group: str, partner: str) -> str:
    """Return the folder below a group that holds all of its files, if its partner has no folder of that name."""
    insides, others = ({place.inside for place in listing.groups().get(name, {})} for name in (group, partner))
    has_splits = any(place.split for place in listing.groups().get(group, {}))
    is_deep = len(insides) == 1 and not insides & {"", *others} and not has_splits
    return f"{group}/{insides.pop()}" if is_deep else group


def _only(listing: Listing, groups: Sequence[str], kind: str) -> str | None:
    """Return the only folder of a kind; None without one.

    Raises:
        DataError: If there are several.
    """
    if len(groups) > 1:
        raise DataError(
            f"{listing.root}: {' and '.join(sorted(groups))} may each hold the {kind}; "
            f"name the folder: --data.{kind} {min(groups)}"
        )
    return groups[0] if groups else None


def _within(group: str, stems: Mapping[str, set[str]]) -> tuple[str, str] | None:
    """Return a group twice if it holds images and masks, which the ends of their names distinguish."""
    names = stems.get(group, set())
    _, suffix = _find_suffixes(names, names, is_one_folder=True)
    return (group, group) if suffix and is_mask_name(suffix) else None


def _stems(places: Mapping[Any, Sequence[str]]) -> set[str]:
    """Return the names of a group's images without extension, below the folders of group and split."""
    return {
        normal_name(f"{place.split or ''}:{place.inside}/{name.rpartition('.')[0]}")
        for place, names in places.items()
        for name in names
    }


def _nested_stems(listing: Listing, path: str) -> set[str]:
    """Return the names of the images below a nested folder without splits, as `_stems` does."""
    return {
        normal_name(f":{folder.removeprefix(path).strip('/')}/{name.rpartition('.')[0]}")
        for folder, names in listing.images.items()
        if f"{folder}/".startswith(f"{path}/")
        for name in names
    }


def _find_suffixes(images: set[str], masks: set[str], is_one_folder: bool) -> tuple[str, str]:
    """Return the ends of the names of images and masks with which most of them are paired."""
    if not is_one_folder and len(images & masks) >= _PAIRED * len(masks):
        return "", ""
    best, result = 0, ("", "")
    for image_suffix in common_ends(images):
        names = {name.removesuffix(image_suffix) for name in images if name.endswith(image_suffix)}
        for mask_suffix in common_ends(masks):
            if is_one_folder and (image_suffix == mask_suffix or not is_mask_name(mask_suffix)):
                continue
            count = sum(mask.endswith(mask_suffix) and mask.removesuffix(mask_suffix) in names for mask in masks)
            if count > best:
                best, result = count, (image_suffix, mask_suffix)
    return result


def common_ends(names: Iterable[str]) -> list[str]:
    """Return the most common ends of names that begin with a separator; the first one is empty."""
    ends: Counter[str] = Counter()
    for name in names:
        ends.update(name[match.start() :] for match in re.finditer(END, name))
    return ["", *(end for end, _ in ends.most_common(_MOST_ENDS))]


def _are_paired(images: set[str], masks: set[str]) -> bool:
    image_suffix, mask_suffix = _find_suffixes(images, masks, is_one_folder=False)
    pairs = {name + image_suffix for mask in masks if (name := mask.removesuffix(mask_suffix)) + image_suffix in images}
    return len(pairs) >= _PAIRED * min(len(images), len(masks))


def _pair_by_extension(listing: Listing) -> dict[str, str] | None:
    """Return the options for one folder in which image and mask have one name and two extensions; None for any other.

    Args:
        listing: Files below the folder.
    """
    groups = listing.groups()
    if len(groups) != 1:
        return None
    ((group, places),) = groups.items()
    stems: dict[str, set[str]] = {}
    for place, names in places.items():
        for name in names:
            stem, _, extension = name.rpartition(".")
            stems.setdefault(f".{extension}", set()).add(f"{place.folder}/{stem}")
    if len(stems) != 2 or len(set.intersection(*stems.values())) < _PAIRED * min(map(len, stems.values())):
        return None
    masks = [extension for extension in stems if _holds_masks(listing, group, extension)]
    if len(masks) != 1:
        return None
    image_suffix = next(extension for extension in stems if extension != masks[0])
    return {"images": group, "masks": group, "image_suffix": image_suffix, "mask_suffix": masks[0]}


def _pair_by_folder(listing: Listing) -> dict[str, str] | None:
    """Return the options for a folder of each image, such as `1/image.png` and `1/mask.png`; None for any other."""
    folders = [{name.rpartition(".")[0] for name in names} for folder, names in listing.images.items() if folder]
    stems = set.intersection(*folders) if len(folders) == len(listing.images) > 1 else set[str]()
    images, masks = ([stem for stem in stems if is_name(stem)] for is_name in (is_image_name, is_mask_name))
    if len(images) != 1 or len(masks) != 1:
        return None
    return {"images": ".", "masks": ".", "image_suffix": f"/{images[0]}", "mask_suffix": f"/{masks[0]}"}


def _holds_masks(listing: Listing, group: str, extension: str = "") -> bool:
    """Return whether a few files of a group, with an extension, are exact and hold few values or colors."""
    files = [
        listing.root / place.folder / name
        for place, names in listing.groups()[group].items()
        for name in names
        if name.endswith(extension)
    ]
    for index in spread(_PROBED, len(files)):
        try:
            if len(count_labels(read_mask(files[index]))) > MOST_LABELS:
                return False
        except DataError:
            return False
    return bool(files)


def find_pair_lists(listing: Listing) -> dict[str, str]:
    """Return the list file of each split, if there are lists of `train` and `val` that name images and masks."""
    folders: dict[str, dict[str, str]] = {}
    for path in listing.texts:
        split = SPLIT_OF.get(PurePosixPath(path).stem)
        if split and _names_a_pair(listing.root, path):
            folders.setdefault(path.rpartition("/")[0], {}).setdefault(split, path)
    return _only_lists(folders)


def _names_a_pair(root: Path, path: str) -> bool:
    """Return whether the first entry of a list, below the names of columns, is the paths of an image and its mask."""
    lines = _first_lines(root / path)
    pair = parse_pair(root, lines[-1 if is_header(lines) else 0]) if lines else None
    return pair is not None and all(PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES for file in pair)


def find_lists(listing: Listing, stems: set[str], suffix: str) -> dict[str, str]:
    """Return the list file of each split, if there are lists of `train` and `val` that name the images."""
    names = {stem.rpartition("/")[2] for stem in stems}
    names |= {name.removesuffix(suffix) for name in names}
    folders: dict[str, dict[str, str]] = {}
    for path in listing.texts:
        split = SPLIT_OF.get(PurePosixPath(path).stem)
        if split and _names_an_image(listing.root / path, names):
            folders.setdefault(path.rpartition("/")[0], {}).setdefault(split, path)
    return _only_lists(folders)


def _only_lists(folders: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the lists of the only folder that has those of `train` and `val`; empty without one."""
    complete = [lists for lists in folders.values() if {"train", "val"} <= lists.keys()]
    return {split: complete[0][split] for split in SPLITS if split in complete[0]} if len(complete) == 1 else {}


def _names_an_image(path: Path, names: set[str]) -> bool:
    """Return whether the first entry of a list, below the names of columns, is an image, or the path of one."""
    first = [re.split(r"[\s,]", line)[0].replace("\\", "/") for line in _first_lines(path)]
    return any(entry.name in names or entry.stem in names for entry in map(PurePosixPath, first))


def _first_lines(path: Path) -> list[str]:
    """Return up to two lines of a list that are no comments."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return [*islice((line for line in map(str.strip, file) if line and not line.startswith("#")), 2)]


def _plain(name: str) -> str:
    """Return a name in lower case, without separators and a plural s."""
    return re.sub(r"[\W_]", "", name.rpartition("/")[2]).lower().removesuffix("s")
