"""Augmented training samples, and their contact sheet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from lightseg.data.data_module import ImageDataModule
from lightseg.data.loading.collate import stack_training
from lightseg.data.targets import is_class
from lightseg.data.transforms.rare_classes import classes_present
from lightseg.data.types import Array, Batch, ClassCounts
from lightseg.diagnosis.samples import components
from lightseg.files.atomic import atomic_write
from lightseg.files.evenly_spaced import spread
from lightseg.labels import IGNORE
from lightseg.visualization.examples import describe_labels
from lightseg.visualization.figures import colorize, disable_math_text, legend, new_figure

PICTURES = 16
_COLUMNS = 4
_OPACITY = 0.5

_WIDTH, _HEIGHT, _TITLE, _GAP, _LEGEND = 1.6, 1.75, 0.15, 0.03, 0.5
"""Width and height of a cell, height of its title, its border and height of the legend, in inches."""


def draw_samples(data: ImageDataModule, number: int) -> list[Batch]:
    """Return augmented training samples, evenly spaced over the split, each as a batch of one.

    Raises:
        UserError: If a sample cannot be read or augmented.
    """
    return [data.train_sample(index) for index in spread(number, len(data.dataset("train")))]


def joined(samples: Sequence[Batch]) -> Batch:
    """Return samples as one batch.

    Raises:
        DataError: If their sizes differ.
    """
    return stack_training([{key: sample[key][0] for key in ("image", "target", "index")} for sample in samples])


def objects_of(batch: Batch, classes: int) -> dict[int, ClassCounts]:
    """Return the pixels of each connected component, by class, in the mask of a batch of one."""
    target = batch["target"][0].numpy()
    mask = np.moveaxis(target, 0, -1) if target.ndim == 3 else target
    return {label: components(is_class(mask, label)) for label in classes_present(mask, range(classes))}


def write_sheet(samples: Sequence[Batch], data: ImageDataModule, path: Path) -> None:
    """Write a PNG with some samples; each image with a mask is repeated with the mask overlaid."""
    selected = [samples[index] for index in spread(PICTURES, len(samples))]
    pairs = data.kind == "segmentation"
    columns = _COLUMNS * (2 if pairs else 1)
    rows = -(-len(selected) // _COLUMNS)
    below = _LEGEND if pairs else 0
    figure = new_figure(_WIDTH * columns, _HEIGHT * rows + below)
    bottom = below / figure.get_figheight()
    # common axes: separate ones would take longer than all checks of a small data set
    axes = figure.add_axes((0, bottom, 1, 1 - bottom))
    for number, batch in enumerate(selected):
        image, target = _picture(batch), batch["target"][0].numpy()
        name = data.dataset("train").name(int(batch["index"])) if pairs else describe_labels(target, data.classes)
        pictures = [image, _overlay(image, target, data.palette)] if pairs else [image]
        row, column = divmod(number * len(pictures), columns)
        axes.text(column * _WIDTH + _GAP, row * _HEIGHT + _TITLE - _GAP, name[-28:], fontsize=6)
        for cell, picture in enumerate(pictures, column):
            _draw(axes, picture, cell * _WIDTH + _GAP, row * _HEIGHT + _TITLE)
    axes.set(xlim=(0, _WIDTH * columns), ylim=(_HEIGHT * rows, 0))
    axes.set_axis_off()
    if pairs:
        legend(figure, data.classes, data.palette, void=True, fontsize=7)
    disable_math_text(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw(axes: Axes, picture: Array, x: float, y: float) -> None:
    """Draw a picture into its cell, scaled to fit, from the upper left corner on."""
    height, width = picture.shape[:2]
    scale = min((_WIDTH - 2 * _GAP) / width, (_HEIGHT - _TITLE - _GAP) / height)
    axes.imshow(picture, extent=(x, x + scale * width, y + scale * height, y))


def _picture(batch: Batch) -> Array:
    """Return the image as `(H, W, 3)` uint8: its first three channels, or the first one repeated."""
    image = batch["image"][0].permute(1, 2, 0).numpy()
    image = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    return image if image.dtype == np.uint8 else (image * 255).clip(0, 255).astype(np.uint8)


def _overlay(image: Array, mask: Array, palette: Sequence[tuple[int, int, int]]) -> Array:
    """Return the image blended with the colors of the mask, `(H, W)` or `(K, H, W)`; void is white."""
    colors = colorize(mask, palette)
    mixed = (image * (1 - _OPACITY) + colors * _OPACITY).astype(np.uint8)
    is_void = mask == IGNORE
    mixed[is_void if mask.ndim == 2 else is_void.any(0) & ~(mask == 1).any(0)] = 255
    return mixed
