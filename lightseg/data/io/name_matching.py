"""Matching of image and mask names that are not equal: suffixes and misnamed files."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

_MAX_FILES = 1000
"""Unpaired files above which single misnamed files are not searched."""

_MIN_LENGTH, _MAX_EXTRA = 4, 2
"""Least length of a name, and most missing characters, for a slip of the pen."""


def find_suffix(images: Collection[str], masks: Collection[str]) -> str:
    """Return the suffix of the masks' names that pairs more files than it unpairs; empty if there is none.

    Args:
        images: Names of the images.
        masks: Names of the masks.
    """
    suffixes: Counter[str] = Counter()
    for mask in masks:
        # every end of the name that starts with no letter or digit, such as `_mask`
        for match in re.finditer(r"(?<=.)[^\w/]|(?<=.)_", mask):
            if mask[: match.start()] in images:
                suffixes[mask[match.start() :]] += 1
    if not suffixes:
        return ""
    suffix, paired = suffixes.most_common(1)[0]
    unpaired = sum(mask in images for mask in masks if not mask.endswith(suffix))
    return suffix if paired > unpaired else ""


def find_misnamed(images: Sequence[str], masks: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of an image and a mask whose names differ by a slip, such as case, a suffix or a letter.

    Args:
        images: Names of the images without a mask.
        masks: Names of the masks without an image.
    """
    if max(len(images), len(masks)) > _MAX_FILES:
        return []
    by_numbers: dict[tuple[int, ...], list[str]] = {}
    for mask in masks:
        by_numbers.setdefault(_numbers(mask), []).append(mask)
    pairs = []
    for image in images:
        matches = [mask for mask in by_numbers.get(_numbers(image), []) if _is_slip(image, mask)]
        if len(matches) == 1:
            pairs.append((image, matches[0]))
    uses = Counter(mask for _, mask in pairs)
    return [(image, mask) for image, mask in pairs if uses[mask] == 1]


def _numbers(name: str) -> tuple[int, ...]:
    """Return the numbers in a name, without leading zeros; names with different ones are different samples."""
    return tuple(map(int, re.findall(r"[0-9]+", name)))


def _is_slip(first: str, second: str) -> bool:
    """Return whether two different names of one folder with equal numbers mean the same."""
    if first.rpartition("/")[0] != second.rpartition("/")[0]:
        return False
    shorter, longer = sorted((first.rpartition("/")[2].casefold(), second.rpartition("/")[2].casefold()), key=len)
    if not shorter:
        return False
    if longer.startswith(shorter) and not longer[len(shorter) :][:1].isalnum():
        return True
    if longer.endswith(shorter) and not longer[: -len(shorter)][-1:].isalnum():
        return True
    letters = [re.sub(r"[\W_]|(?<![0-9])0+(?=[0-9])", "", name) for name in (shorter, longer)]
    if letters[0] == letters[1]:
        return True
    if len(shorter) < _MIN_LENGTH or len(longer) - len(shorter) > _MAX_EXTRA:
        return False
    return sorted(shorter) == sorted(longer) or _is_subsequence(shorter, longer)


def _is_subsequence(shorter: str, longer: str) -> bool:
    """Return whether all characters of a text occur in a longer one, in the same order."""
    characters = iter(longer)
    return all(character in characters for character in shorter)
