"""Findings about readable masks: shifted against their images, interpolated, empty, or of contradicting values."""

from collections.abc import Sequence

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.types import SPLITS
from lightseg.diagnosis.findings import Finding, Severity, from_message
from lightseg.diagnosis.samples import Sample
from lightseg.diagnosis.shift import Shift
from lightseg.errors import DataError
from lightseg.files.printable import format_count

_PEAK, _RIVAL, _HERE, _FAR = 7.0, 0.8, 0.65, 4.0
"""Criteria of a shifted mask: least height of the best fit, in standard deviations; largest share of it at the next
best place, and at the mask's position; least shift in pixels.

Measured: none of 701 pairs of CamVid and 1,600 of Shapes meets them; 98 % do if moved by 12 pixels."""

_MOST, _SET, _STEP, _ALIKE = 0.6, 8, 2.0, 1.5
"""Criteria of a common shift: least share of the masks that agree, least number of masks, least shift in pixels, and
tolerance of the agreement in pixels."""

_BETWEEN, _LEAST = 0.08, 20
"""Criteria of an interpolated mask: least share and number of border pixels between a lower and a higher id.

Measured: at most 0.03 for masks of CamVid and Shapes; 0.2 to 0.35 for CamVid resized by bilinear interpolation."""

_RARE = 0.2
"""Largest share of masks with background only that is an exception, and thus a warning."""


def turn_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Warn of images that EXIF rotates and whose masks it does not, where their sizes do not reveal which is right."""
    turned = [sample for sample in samples if sample.is_turned]
    if not turned:
        return []
    what = (
        f"the EXIF orientation of {format_count(len(turned), 'file')} turns the image and not its mask (or the other "
        f"way), and their sizes do not tell whether it should: {turned[0].name}"
    )
    mend = "look at the overlays; if masks lie turned, save the images the way up that the masks have, without EXIF"
    return [Finding("EXIF orientation", "warning", what, mend, [sample.name for sample in turned])]


def shift_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Warn of masks that are shifted against their images: all, those of a split, or single ones."""
    if shared := _shared_shift(samples, "all masks"):
        return [shared]
    findings, single = [], []
    for split in SPLITS:
        members = [sample for sample in samples if sample.split == split]
        if shared := _shared_shift(members, f"the masks of {split} as a whole"):
            findings.append(shared)
        else:
            single += [sample for sample in members if sample.shift and is_shifted(sample.shift)]
    if single and single[0].shift:
        what = f"the edges of {single[0].mask} fit its image best {_moved(single[0].shift)}"
        what += f"; {format_count(len(single) - 1, 'more mask')} fit best elsewhere, too" if len(single) > 1 else ""
        mend = "look at them on the image; export them again, or move them back"
        findings.append(Finding("shifted", "warning", what, mend, [sample.mask for sample in single]))
    return findings


def is_shifted(shift: Shift) -> bool:
    """Return whether there is strong evidence that a mask is shifted."""
    return (
        shift.length >= _FAR
        and shift.peak >= _PEAK
        and shift.rival <= _RIVAL * shift.peak
        and shift.unshifted <= _HERE * shift.peak
    )


def interpolation_findings(samples: Sequence[Sample], classes: Sequence[str]) -> list[Finding]:
    """Report masks with declared ids only, in which pixels between two classes have the ids between theirs."""
    masks = [sample for sample in samples if sample.border]
    # in noise, nearly every pixel is at a border
    masks = [sample for sample in masks if sample.border < sample.size[0] * sample.size[1] / 2]
    interpolated = [s for s in masks if s.between.sum() >= max(_LEAST, _BETWEEN * s.border)]
    if not interpolated:
        return []
    pixels = np.sum([sample.between for sample in interpolated], axis=0)
    names = [classes[label] for label in np.flatnonzero(pixels).tolist()]
    # a class of thin lines in most masks is one of outlines
    totals = np.sum([sample.counts[:-1] for sample in masks], axis=0)
    is_outline = len(interpolated) > len(masks) / 2 and pixels.sum() > totals[pixels > 0].sum() / 2
    what = (
        f"{format_count(len(interpolated), 'mask')} with thin lines of {', '.join(names)} where classes of lower and "
        f"higher ids meet: that is what a resize makes of ids ({pixels.sum():,} pixels)"
    )
    mend = "make them again from the originals, resized by nearest neighbour only"
    mend += "; annotated outlines may stay" if is_outline else ""
    severity: Severity = "note" if is_outline else "warning"
    return [Finding("interpolated mask", severity, what, mend, [sample.mask for sample in interpolated])]


def value_findings(data: ImageDataModule) -> list[Finding]:
    """Report masks whose values contradict those of another mask, of the same split or of another."""
    try:
        data.mask_values()
    except DataError as error:
        return [from_message("contradiction", "error", str(error))]
    return []


def empty_findings(samples: Sequence[Sample], classes: Sequence[str], multilabel: bool = False) -> list[Finding]:
    """Report masks of void only, and those of the first class only, or of no class where they may overlap."""
    masks = [sample for sample in samples if sample.objects or not sample.counts[:-1].any()]
    # images without an annotation have a finding of their own
    masks = [sample for sample in masks if sample.annotation is None or sample.annotation.is_annotated]
    void = [sample.mask for sample in masks if not sample.valid.any()]
    background_only = [] if multilabel else [0]
    background = [sample.mask for sample in masks if sample.valid.any() and list(sample.objects) == background_only]
    findings = []
    if void:
        what = f"{format_count(len(void), 'mask')} without a label: every pixel is void"
        findings.append(Finding("empty mask", "warning", what, "label them, or remove them and their images", void))
    if background:
        content = "without any class" if multilabel else f"with {classes[0]} and nothing else"
        is_exception = len(background) <= max(1, _RARE * len(masks))
        what = f"{format_count(len(background), 'mask')} of {len(masks):,} {content}"
        mend = "if there is something to see on their images, label it; otherwise leave them as they are"
        findings.append(Finding("empty mask", "warning" if is_exception else "note", what, mend, background))
    return findings


def _shared_shift(samples: Sequence[Sample], subject: str) -> Finding | None:
    """Warn if most masks are shifted by the same distance."""
    strong = [sample.shift for sample in samples if sample.shift and sample.shift.peak >= _PEAK]
    if len(strong) < _SET:
        return None
    places = np.array([(shift.dy, shift.dx) for shift in strong])
    middle = np.median(places, axis=0)
    alike = np.hypot(*(places - middle).T) <= _ALIKE
    if np.hypot(*middle) < _STEP or alike.mean() < _MOST:
        return None
    moved = Shift(float(middle[0]), float(middle[1]), 0, 0, 0)
    what = f"{subject} fit their images best {_moved(moved)} ({alike.mean():.0%} of {len(strong):,} agree)"
    mend = "move all of them back: a crop or a resize treated images and masks differently"
    return Finding("shifted", "warning", what, mend, [sample.mask for sample in samples])


def _moved(shift: Shift) -> str:
    """Describe a shift in pixels."""
    down, right = round(shift.dy), round(shift.dx)
    parts = [f"{abs(down)} pixels further {'down' if down > 0 else 'up'}"] * bool(down)
    parts += [f"{abs(right)} pixels further to the {'right' if right > 0 else 'left'}"] * bool(right)
    return " and ".join(parts)
