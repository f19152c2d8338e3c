"""Finding about training samples that consist mostly of padding."""

from collections.abc import Sequence

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.types import Batch
from lightseg.diagnosis.findings import Finding
from lightseg.diagnosis.samples import Sample
from lightseg.files.printable import format_count
from lightseg.labels import IGNORE

_MOST = 0.5
"""Share of padding in training samples from which on there is a note."""


def padding_findings(data: ImageDataModule, samples: Sequence[Sample], augmented: Sequence[Batch]) -> list[Finding]:
    """Note if training samples are mostly padding: void in the augmented mask beyond the void of its file.

    Args:
        data: The data module.
        samples: Surveyed samples.
        augmented: Augmented training samples, each a batch of one.
    """
    originals = {sample.name: sample for sample in samples if sample.readable}
    dataset = data.dataset("train")
    shares, sizes, image_sizes = [], [], []
    for batch in augmented:
        original = originals.get(dataset.name(int(batch["index"])))
        if original is None:
            continue
        void = float((batch["target"] == IGNORE).float().mean())
        file_void = original.void_share
        # the void of the file fills the same share of what is not padding
        shares.append(max(0.0, void - file_void) / (1 - file_void) if file_void < 1 else 0.0)
        sizes.append(tuple(batch["target"].shape[-2:]))
        image_sizes.append(original.size)
    if not shares or np.mean(shares) < _MOST:
        return []
    (height, width), (image_height, image_width) = _typical(sizes), _typical(image_sizes)
    what = (
        f"training samples are {height}×{width} pixels and the images {image_height}×{image_width} (height×width): "
        f"{np.mean(shares):.0%} of {format_count(len(shares), 'augmented sample')} is padding"
    )
    if height <= image_height and width <= image_width:
        mend = "in data.train_transforms, scale images down less, or lower height and width of the crop"
    else:
        height, width = min(height, image_height), min(width, image_width)
        values = f"height and width to {height}" if height == width else f"height to {height} and width to {width}"
        mend = f"in data.train_transforms, set {values}"
    return [Finding("padding", "note", what, mend)]


def _typical(sizes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """Return the median height and width."""
    height, width = np.median(sizes, axis=0).round().astype(int).tolist()
    return height, width
