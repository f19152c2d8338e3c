"""Findings about files: broken, unusable and unpaired ones, and undeclared labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lightseg.data.annotations.drawing import UndeclaredClassError
from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.datasets.mask_dataset import MaskDataset, SizeError
from lightseg.data.datasets.unread_files import describe_unread, unread_files
from lightseg.data.io.error_collector import LayoutError
from lightseg.data.io.images import BrokenFileError
from lightseg.data.io.label_advice import Key
from lightseg.data.io.label_map import UndeclaredError
from lightseg.data.io.masks import LossyMaskError
from lightseg.data.splits import LeakError
from lightseg.data.types import Split
from lightseg.diagnosis.findings import Finding, from_message, list_classes
from lightseg.diagnosis.samples import Problem, Sample
from lightseg.errors import DataError
from lightseg.files.printable import format_count, join_names
from lightseg.labels import IGNORE

_CHECKS: dict[type[DataError], str] = {
    UndeclaredClassError: "undeclared class",
    BrokenFileError: "broken file",
    LossyMaskError: "lossy mask",
    SizeError: "size",
    LeakError: "leak",
}


def layout_findings(problems: Sequence[DataError]) -> list[Finding]:
    """Return findings about the layout from the errors that were collected while the splits were built."""
    groups: dict[str, list[DataError]] = {}
    # a data module may report the same error for each split
    for error in {str(error): error for error in problems}.values():
        check = error.kind if isinstance(error, LayoutError) else _CHECKS.get(type(error), "layout")
        groups.setdefault(check, []).append(error)
    findings = []
    for check, errors in groups.items():
        files = dict.fromkeys(file for error in errors for file in getattr(error, "files", ()))
        # unpaired files are reported once for each folder
        by_folder = check in ("image without mask", "mask without image", "misnamed file")
        findings.append(
            from_message(check, "error", _with_more(str(errors[0]), len(errors) - 1, by_folder), list(files))
        )
    return findings


def unread_findings(parts: Mapping[Split, ImageDataset]) -> list[Finding]:
    """Warn of images that are skipped, since their format is not read."""
    if not (files := unread_files(parts.values())):
        return []
    what = f"images of formats that are not read are skipped: {describe_unread(files)}"
    return [Finding("skipped file", "warning", what, "convert them to PNG, JPEG or TIFF to use them", files)]


def unlisted_findings(data: ImageDataModule) -> list[Finding]:
    """Note images that take no part, since no list or table names them."""
    files = data.unlisted_images() if isinstance(data, FileDataModule) else []
    if not files:
        return []
    what = f"{format_count(len(files), 'image')} beside the others that no list and no table names"
    mend = "they take no part; name them there to use them"
    return [Finding("unlisted image", "note", what, mend, files)]


def alpha_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Note images whose alpha channel is dropped."""
    shares = {sample.name: sample.transparent_share for sample in samples if sample.transparent_share is not None}
    if not shares:
        return []
    transparent = [name for name, share in shares.items() if share]
    what = f"the alpha channel of {format_count(len(shares), 'image')} is dropped"
    if not transparent:
        return [Finding("alpha channel", "note", f"{what}, which is opaque everywhere", "nothing is lost", [*shares])]
    what += f", and in {len(transparent):,} it is transparent in places, where the color below it is seen"
    mend = "set channels: 4 to keep it (2 where images are gray), or paint these images onto a background"
    return [Finding("alpha channel", "note", what, mend, transparent)]


def file_findings(samples: Sequence[Sample], parts: Mapping[Split, ImageDataset]) -> list[Finding]:
    """Return a finding for each kind of problem with single files."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for sample in samples:
        for problem in sample.problems:
            groups.setdefault(_group(problem), []).append(problem)
    return [_finding(check, problems, parts) for (check, _), problems in groups.items()]


def _group(problem: Problem) -> tuple[str, str]:
    """Return the check of a problem, and a key that separates problems of one check with different fixes."""
    error = problem.error
    if isinstance(error, UndeclaredError):
        return "interpolated mask" if problem.interpolated else "undeclared values", str(error.is_colored)
    if type(error) in _CHECKS:
        return _CHECKS[type(error)], ""
    # grouped by their fix
    return "unusable", str(error).partition("; ")[2]


def _finding(check: str, problems: Sequence[Problem], parts: Mapping[Split, ImageDataset]) -> Finding:
    first, files = problems[0].error, list(dict.fromkeys(problem.file for problem in problems))
    message = str(first)
    if check == "interpolated mask":
        mend = "make them again from the originals, as PNG and resized by nearest neighbour only"
        return Finding(check, "error", _interpolated(problems), mend, files)
    if isinstance(first, UndeclaredError):
        message = _undeclared(problems, parts)
    elif isinstance(first, UndeclaredClassError):
        message = _undeclared_classes(problems)
    elif len(files) > 1:
        message = _with_more(message, len(files) - 1)
    return from_message(check, "error", message, files)


def _with_more(message: str, more: int, by_folder: bool = False) -> str:
    """Return the first message with the number of further ones."""
    what, separator, mend = message.partition("; ")
    others = f"the same in {format_count(more, 'more folder')}" if by_folder else f"{more} more like it"
    return f"{what} (and {others}){separator}{mend}" if more else message


def _interpolated(problems: Sequence[Problem]) -> str:
    """Return one message for all interpolated masks."""
    errors = [problem.error for problem in problems if isinstance(problem.error, UndeclaredError)]
    new = sorted({key for error in errors for key in error.undeclared}, key=str)
    listed = join_names([str(list(key) if isinstance(key, tuple) else key) for key in new], 6)
    return (
        f"{format_count(len(problems), 'mask')} with {format_count(len(new), 'value')} that are not declared, in "
        f"between declared ones and at borders ({listed}): a resize, a JPEG or smooth edges made them"
    )


def _undeclared(problems: Sequence[Problem], parts: Mapping[Split, ImageDataset]) -> str:
    """Return one message for all masks, with the config line that declares the values of all of them."""
    errors = [problem.error for problem in problems if isinstance(problem.error, UndeclaredError)]
    pixels: Counter[Key] = sum((error.pixel_counts for error in errors), Counter())
    label_map = next(part.label_map for part in parts.values() if isinstance(part, MaskDataset))
    more = f" and {format_count(len(errors) - 1, 'more file')}" if len(errors) > 1 else ""
    return str(label_map.undeclared_error(errors[0].path, pixels, more))


def _undeclared_classes(problems: Sequence[Problem]) -> str:
    """Return one message for all objects of classes that are not declared."""
    errors = [problem.error for problem in problems if isinstance(problem.error, UndeclaredClassError)]
    objects: Counter[str] = sum((error.objects for error in errors), Counter())
    what, separator, mend = str(errors[0]).partition("; ")
    return f"{what} ({format_count(objects.total(), 'object')} in all: {list_classes(objects)}){separator}{mend}"


def unnamed_findings(samples: Sequence[Sample], parts: Mapping[Split, ImageDataset]) -> list[Finding]:
    """Report masks that hold only 0 and 255, where the config does not declare whether 255 is a class."""
    for split, part in parts.items():
        counts = [sample.counts for sample in samples if sample.split == split and sample.readable]
        if isinstance(part, MaskDataset) and counts:
            summed = np.sum(counts, axis=0)
            totals = np.zeros(IGNORE + 1, np.int64)
            totals[: len(summed) - 1], totals[IGNORE] = summed[:-1], summed[-1]
            try:
                part.label_map.check_totals(str(Path(part.root)), totals)
            except DataError as error:
                files = [sample.mask for sample in samples if sample.readable]
                return [from_message("undeclared values", "error", str(error), files)]
    return []
