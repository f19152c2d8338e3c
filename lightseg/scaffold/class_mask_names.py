"""Names of the masks of classes, each divided into the name of its image and its class."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple

from lightseg.files.evenly_spaced import spread
from lightseg.scaffold.mask_labels import MOST_LABELS
from lightseg.scaffold.mask_layout import END, common_ends, is_image_name, is_mask_name

_MATCHED = 0.9
"""Least share of the masks whose name tells image and class."""

_SAMPLED = 2000
"""Masks whose names are tried before all others."""


class ClassMaskNames(NamedTuple):
    """Names of the masks of a folder, divided into image and class.

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


def match_names(
    image_stems: Mapping[str, str], mask_stems: Mapping[str, str], is_one_folder: bool
) -> ClassMaskNames | None:
    """Return how the masks of a folder name their images and classes; None if they do not.

    Args:
        image_stems: Paths of the images, by `split:path` without extension.
        mask_stems: Paths of the masks, likewise.
        is_one_folder: Whether images and masks lie in one folder, so that both are the same mapping.
    """
    stems = list(mask_stems)
    probed_stems = {stems[index]: mask_stems[stems[index]] for index in spread(_SAMPLED, len(stems))}
    # most folders have no masks of classes, and may have a million images
    if _best_match(image_stems, probed_stems, is_one_folder) is None:
        return None
    return _best_match(image_stems, mask_stems, is_one_folder)


def _best_match(
    image_stems: Mapping[str, str], mask_stems: Mapping[str, str], is_one_folder: bool
) -> ClassMaskNames | None:
    """Return how most names of masks are divided; None if they are not."""
    best: ClassMaskNames | None = None
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


def _has_classes(match: ClassMaskNames) -> bool:
    """Return whether the classes are several, with several masks each, and none is a word for all masks."""
    number = len(match.files)
    return 2 <= number <= MOST_LABELS and match.num_masks >= 2 * number and not any(map(is_mask_name, match.files))


def _matches(names: Set[str], stems: Mapping[str, str], image_suffix: str, tail: str) -> Iterator[ClassMaskNames]:
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
            yield ClassMaskNames(
                template + tail, image_suffix, images, {label: paths for (_, label), paths in files.items()}
            )


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
