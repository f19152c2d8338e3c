"""Training samples as training sees them: drawn, and as a sheet of pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from lightseg.data.data_module import ImageDataModule
from lightseg.data.loading.collate import stack_training
from lightseg.data.types import Array, Batch, ClassCounts
from lightseg.diagnosis.samples import components
from lightseg.files.atomic import atomic_write
from lightseg.files.evenly_spaced import spread
from lightseg.labels import IGNORE
from lightseg.visualization.figures import colorize, legend, new_figure, take_literally

PICTURES = 16
_COLUMNS = 4
_OPACITY = 0.5

_WIDTH, _HEIGHT, _TITLE, _GAP, _LEGEND = 1.6, 1.75, 0.15, 0.03, 0.5
"""In inches: a cell's width and height, the line for its name in it, its border, and the line for the legend."""


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


def objects_of(batch: Batch, classes: int) -> dict[int, ClassCounts]:
    """Pixels of each connected component, of each class that occurs in the mask of a batch of one."""
    mask = batch["target"][0].numpy().astype(np.uint8)
    return {label: components(mask, label) for label in np.unique(mask).tolist() if label < classes}


def write_sheet(batches: Sequence[Batch], data: ImageDataModule, path: Path) -> None:
    """Write a PNG: images, those with masks followed by the same with the mask over it."""
    selection = [batches[index] for index in spread(PICTURES, len(batches))]
    pairs = data.kind == "segmentation"
    columns = _COLUMNS * (2 if pairs else 1)
    rows = -(-len(selection) // _COLUMNS)
    below = _LEGEND if pairs else 0
    figure = new_figure(_WIDTH * columns, _HEIGHT * rows + below)
    bottom = below / figure.get_figheight()
    # one for all pictures: with axes for each it would take longer than all checks of a small data set
    axes = figure.add_axes((0, bottom, 1, 1 - bottom))
    for number, batch in enumerate(selection):
        image, target = _picture(batch), batch["target"][0].numpy()
        name = data.dataset("train").name(int(batch["index"])) if pairs else data.classes[int(target)]
        pictures = [image, _overlay(image, target, data.palette)] if pairs else [image]
        row, column = divmod(number * len(pictures), columns)
        axes.text(column * _WIDTH + _GAP, row * _HEIGHT + _TITLE - _GAP, name[-28:], fontsize=6)
        for place, picture in enumerate(pictures, column):
            _draw(axes, picture, place * _WIDTH + _GAP, row * _HEIGHT + _TITLE)
    axes.set(xlim=(0, _WIDTH * columns), ylim=(_HEIGHT * rows, 0))
    axes.set_axis_off()
    if pairs:
        legend(figure, data.classes, data.palette, void=True, fontsize=7)
    take_literally(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw(axes: Axes, picture: Array, left: float, top: float) -> None:
    """Draw a picture as large as its cell lets it be, from a corner on."""
    height, width = picture.shape[:2]
    scale = min((_WIDTH - 2 * _GAP) / width, (_HEIGHT - _TITLE - _GAP) / height)
    axes.imshow(picture, extent=(left, left + scale * width, top + scale * height, top))


def _picture(batch: Batch) -> Array:
    """Return the image as `(H, W, 3)` uint8; of many channels the first three, of few the first."""
    image = batch["image"][0].permute(1, 2, 0).numpy()
    image = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    return image if image.dtype == np.uint8 else (image * 255).clip(0, 255).astype(np.uint8)


def _overlay(image: Array, mask: Array, palette: Sequence[tuple[int, int, int]]) -> Array:
    """Return the image under the colours of the mask; what is void is white."""
    colors = colorize(mask, palette)
    mixed = (image * (1 - _OPACITY) + colors * _OPACITY).astype(np.uint8)
    mixed[mask == IGNORE] = 255
    return mixed
