"""Findings about annotations: clipped outlines, objects of undeclared classes, and images without an annotation."""

from collections import Counter
from collections.abc import Mapping, Sequence

from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets.annotated_dataset import AnnotatedDataset
from lightseg.data.types import Split
from lightseg.diagnosis.findings import Finding, Severity, list_classes
from lightseg.diagnosis.samples import Sample
from lightseg.files.printable import format_count

_ROUNDING = 1.0
"""Pixels that an outline may reach beyond its image by rounding."""

_RARE = 0.2
"""Largest share of images without annotation that is an exception, and thus a warning."""


def annotation_findings(samples: Sequence[Sample], parts: Mapping[Split, ImageDataset]) -> list[Finding]:
    """Return findings about the annotations of readable samples.

    Args:
        samples: The samples.
        parts: Datasets by split.
    """
    annotated = [sample for sample in samples if sample.annotation]
    return [*_clipped(annotated), *_others(annotated, parts), *_unannotated(annotated)]


def _clipped(samples: Sequence[Sample]) -> list[Finding]:
    """Note outlines that reach beyond their images."""
    overhangs = {sample.name: sample.annotation.overhangs for sample in samples if sample.annotation}
    clipped = {
        name: far for name, values in overhangs.items() if (far := [value for value in values if value > _ROUNDING])
    }
    if not clipped:
        return []
    number, total = (sum(map(len, values.values())) for values in (clipped, overhangs))
    farthest = max(max(values) for values in clipped.values())
    what = (
        f"{number:,} of {format_count(total, 'outline')} in {format_count(len(clipped), 'image')} reach beyond the "
        f"image, by up to {farthest:.0f} pixels, and are clipped"
    )
    mend = "leave them if the image cuts the objects off; if they lie in the wrong place, export the annotations again"
    return [Finding("clipped outline", "note", what, mend, list(clipped))]


def _others(samples: Sequence[Sample], parts: Mapping[Split, ImageDataset]) -> list[Finding]:
    """Note objects of classes that are not declared, which an option leaves out or makes void."""
    files = [sample.name for sample in samples if sample.annotation and sample.annotation.others]
    if not files:
        return []
    objects: Counter[str] = sum((sample.annotation.others for sample in samples if sample.annotation), Counter())
    options = {part.drawing.other_classes for part in parts.values() if isinstance(part, AnnotatedDataset)}
    state = "void" if "ignore" in options else "left out"
    what = f"{format_count(objects.total(), 'object')} of classes that are not declared: {list_classes(objects)}"
    mend = f"they are {state}, as other_classes says; add the classes to data.classes to train on them"
    return [Finding("undeclared class", "note", what, mend, files)]


def _unannotated(samples: Sequence[Sample]) -> list[Finding]:
    """Report images without an annotation."""
    files = [sample.name for sample in samples if sample.annotation and not sample.annotation.is_annotated]
    if not files:
        return []
    severity: Severity = "warning" if len(files) <= max(1, _RARE * len(samples)) else "note"
    what = f"{format_count(len(files), 'image')} of {len(samples):,} without annotation, as if they held no object"
    mend = "annotate them, or, if nobody has looked at them, leave them out: missing_annotation: skip"
    return [Finding("image without annotation", severity, what, mend, files)]
