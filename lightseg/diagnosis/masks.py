"""Findings about masks that can be read: shifted against their images, resized as if ids were brightness, or empty."""

from collections.abc import Sequence

import numpy as np

from lightseg.data.types import SPLITS
from lightseg.diagnosis.findings import Finding, Severity, counted
from lightseg.diagnosis.samples import Sample
from lightseg.diagnosis.shift import Shift

_PEAK, _RIVAL, _HERE, _FAR = 7.0, 0.8, 0.65, 4.0
"""A mask is called shifted where its edges fit the image elsewhere with a peak of this many deviations, of which the
next best place reaches at most this share, and the place where it is at most this share, and this many pixels away.

Measured: of the 701 pairs of CamVid and 1,600 of Shapes none is; moved by 12 pixels in any direction, 98 % are."""

_MOST, _SET, _STEP, _ALIKE = 0.6, 8, 2.0, 1.5
"""All masks, or all of a split, are called shifted where this share of them, of at least so many, fits best at one
place that is so many pixels away, give or take so many."""

_BETWEEN, _LEAST = 0.08, 20
"""Share of a mask's border pixels that lie between a lower and a higher id, and their number, from which on a resize
made them. Measured: no mask of CamVid or Shapes has more than 0.03; those of CamVid, resized by bilinear
interpolation, have 0.2 to 0.35."""

_RARE = 0.2
"""Share of the masks up to which those that hold background only are an exception."""


def turn_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Images that EXIF turns and whose masks it does not, where only a look tells whether these were drawn turned."""
    turned = [sample for sample in samples if sample.is_turned]
    if not turned:
        return []
    what = (
        f"the EXIF orientation of {counted(len(turned), 'file')} turns the image and not its mask (or the other way), "
        f"and their sizes do not tell whether it should: {turned[0].name}"
    )
    mend = "look at the overlays; if masks lie turned, save the images the way up that the masks have, without EXIF"
    return [Finding("EXIF orientation", "warning", what, mend, [sample.name for sample in turned])]


def shift_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Masks beside what they outline."""
    if shared := _shared_shift(samples, "all masks"):
        return [shared]
    findings, alone = [], []
    for split in SPLITS:
        in_split = [sample for sample in samples if sample.split == split]
        if shared := _shared_shift(in_split, f"the masks of {split} as a whole"):
            findings.append(shared)
        else:
            alone += [sample for sample in in_split if sample.shift and is_shifted(sample.shift)]
    if alone and alone[0].shift:
        what = f"the edges of {alone[0].mask} fit its image best {_moved(alone[0].shift)}"
        what += f"; {counted(len(alone) - 1, 'more mask')} fit best elsewhere, too" if len(alone) > 1 else ""
        mend = "look at them on the image; export them again, or move them back"
        findings.append(Finding("shifted", "warning", what, mend, [sample.mask for sample in alone]))
    return findings


def is_shifted(shift: Shift) -> bool:
    """Return whether there is strong evidence that a mask lies elsewhere than it should."""
    return (
        shift.length >= _FAR
        and shift.peak >= _PEAK
        and shift.rival <= _RIVAL * shift.peak
        and shift.here <= _HERE * shift.peak
    )


def interpolation_findings(samples: Sequence[Sample], classes: Sequence[str]) -> list[Finding]:
    """Masks in which every id is declared, but where ids meet, the ids in between lie in between."""
    masks = [sample for sample in samples if sample.border]
    # where nearly every pixel is at a border, as in noise, there is nothing in between
    masks = [sample for sample in masks if sample.border < sample.size[0] * sample.size[1] / 2]
    strange = [s for s in masks if s.between.sum() >= max(_LEAST, _BETWEEN * s.border)]
    if not strange:
        return []
    pixels = np.sum([sample.between for sample in strange], axis=0)
    names = [classes[label] for label in np.flatnonzero(pixels).tolist()]
    # a class that is hardly ever more than a line, in most masks, is one of outlines
    every = np.sum([sample.counts[:-1] for sample in masks], axis=0)
    drawn_so = len(strange) > len(masks) / 2 and pixels.sum() > every[pixels > 0].sum() / 2
    what = (
        f"{counted(len(strange), 'mask')} with thin lines of {', '.join(names)} where classes of lower and higher ids "
        f"meet: that is what a resize makes of ids ({pixels.sum():,} pixels)"
    )
    mend = "make them again from the originals, resized by nearest neighbour only"
    mend += "; outlines that somebody drew may stay" if drawn_so else ""
    severity: Severity = "note" if drawn_so else "warning"
    return [Finding("interpolated mask", severity, what, mend, [sample.mask for sample in strange])]


def empty_findings(samples: Sequence[Sample], classes: Sequence[str]) -> list[Finding]:
    """Masks without any label, and those that hold nothing but the first class."""
    masks = [sample for sample in samples if sample.objects or (len(sample.counts) and not sample.counts[:-1].any())]
    void = [sample.mask for sample in masks if not sample.counts[:-1].any()]
    bare = [sample.mask for sample in masks if list(sample.objects) == [0]]
    findings = []
    if void:
        what = f"{counted(len(void), 'mask')} without a label: every pixel is void"
        findings.append(Finding("empty mask", "warning", what, "label them, or remove them and their images", void))
    if bare:
        few = len(bare) <= max(1, _RARE * len(masks))
        what = f"{counted(len(bare), 'mask')} of {len(masks):,} with {classes[0]} and nothing else"
        mend = "if there is something to see on their images, label it; otherwise leave them as they are"
        findings.append(Finding("empty mask", "warning" if few else "note", what, mend, bare))
    return findings


def _shared_shift(samples: Sequence[Sample], whose: str) -> Finding | None:
    strong = [sample.shift for sample in samples if sample.shift and sample.shift.peak >= _PEAK]
    if len(strong) < _SET:
        return None
    places = np.array([(shift.dy, shift.dx) for shift in strong])
    middle = np.median(places, axis=0)
    alike = np.hypot(*(places - middle).T) <= _ALIKE
    if np.hypot(*middle) < _STEP or alike.mean() < _MOST:
        return None
    moved = Shift(float(middle[0]), float(middle[1]), 0, 0, 0)
    what = f"{whose} fit their images best {_moved(moved)} ({alike.mean():.0%} of {len(strong):,} agree)"
    mend = "move all of them back: a crop or a resize treated images and masks differently"
    return Finding("shifted", "warning", what, mend, [sample.mask for sample in samples])


def _moved(shift: Shift) -> str:
    down, right = round(shift.dy), round(shift.dx)
    parts = [f"{abs(down)} pixels further {'down' if down > 0 else 'up'}"] * bool(down)
    parts += [f"{abs(right)} pixels further to the {'right' if right > 0 else 'left'}"] * bool(right)
    return " and ".join(parts)
