"""Values where a class is present in its mask."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from lightseg.data.io.masks import LossyMaskError, read_mask
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.labels import IGNORE
from lightseg.scaffold.mask_labels import MOST_LABELS, count_labels, find_labels

_PROBED = 8
"""Masks of each class that are read."""


def find_presence(
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
    """Return the options for masks that hold these values beside 0; see `find_presence`."""
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
    """Return the options for masks with smooth edges or in a lossy format; see `find_presence`."""
    try:
        labels = find_labels(masks, None)
    except DataError:
        return None
    if "threshold" not in labels.options:
        return None
    reason = "the masks have smooth edges: a class is present from this gray value on"
    return {"threshold": labels.options["threshold"]}, {"threshold": reason}
