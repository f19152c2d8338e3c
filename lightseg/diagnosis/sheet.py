"""Training samples as training sees them: drawn, and as a sheet of pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightseg.data.base import ImageDataModule
from lightseg.data.batches import Batch, stack_training
from lightseg.data.dataset import Counts
from lightseg.data.transforms import Array
from lightseg.diagnosis.samples import components
from lightseg.files import replacing
from lightseg.labels import IGNORE
from lightseg.pictures import colorize, legend, new_figure
from lightseg.spread import spread

PICTURES = 16
_COLUMNS = 4
_OPACITY = 0.5


def draw_samples(data: ImageDataModule, number: int) -> list[Batch]:
    """Augmented training samples, spread over the split, each as a batch of one.

    Raises:
        UserError: If one cannot be drawn.
    """
    return [data.train_sample(index) for index in spread(number, len(data.dataset("train")))]


def joined(samples: Sequence[Batch]) -> Batch:
    """Some of them as one batch.

    Raises:
        DataError: If they are of different sizes.
    """
    return stack_training([{key: sample[key][0] for key in ("image", "target", "index")} for sample in samples])


def objects_of(batch: Batch, classes: int) -> dict[int, Counts]:
    """Pixels of each connected component, of each class that occurs in the mask of a batch of one."""
    mask = batch["target"][0].numpy().astype(np.uint8)
    return {label: components(mask, label) for label in np.unique(mask).tolist() if label < classes}


def write_sheet(drawn: Sequence[Batch], data: ImageDataModule, path: Path) -> None:
    """Write a PNG: images, those with masks followed by the same with the mask over it."""
    shown = [drawn[index] for index in spread(PICTURES, len(drawn))]
    pairs = data.kind == "segmentation"
    columns = _COLUMNS * (2 if pairs else 1)
    rows = -(-len(shown) // _COLUMNS)
    figure = new_figure(1.6 * columns, 1.75 * rows + 0.6)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()
    for number, batch in enumerate(shown):
        image, target = _picture(batch), batch["target"][0].numpy()
        name = data.dataset("train").name(int(batch["index"]))
        if pairs:
            left, right = axes[2 * number], axes[2 * number + 1]
            right.imshow(_overlay(image, target, data.palette))
        else:
            left, name = axes[number], data.classes[int(target)]
        left.imshow(image)
        left.set_title(name[-28:], fontsize=6, loc="left")
    if pairs:
        legend(figure, data.classes, data.palette, void=True, fontsize=7)
    figure.tight_layout(rect=(0, 0.5 / figure.get_figheight() if pairs else 0, 1, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _picture(batch: Batch) -> Array:
    """The image as `(H, W, 3)` uint8; of many channels the first three, of few the first."""
    image = batch["image"][0].permute(1, 2, 0).numpy()
    image = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    return image if image.dtype == np.uint8 else (image * 255).clip(0, 255).astype(np.uint8)


def _overlay(image: Array, mask: Array, palette: Sequence[tuple[int, int, int]]) -> Array:
    """The image under the colours of the mask; what is void is white."""
    colors = colorize(mask, palette)
    mixed = (image * (1 - _OPACITY) + colors * _OPACITY).astype(np.uint8)
    mixed[mask == IGNORE] = 255
    return mixed
