"""Figures of a run: learning curve, confusion matrix, predictions beside the truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from lightseg.labels import IGNORE, VOID, Color, color_table
from lightseg.runs.metrics_log import read_log
from lightseg.visualization.examples import Example, Image, describe_labels, read_examples, read_palette

_RIGHT, _WRONG = (225, 225, 225), (200, 30, 30)
_MISSED, _ABSENT = (50, 110, 230), (0, 0, 0)


def learning_curve(folder: Path, path: Path) -> None:
    """Draw losses and validation score over optimizer steps.

    Args:
        folder: Run folder, whose log is read.
        path: PNG to write.
    """
    rows = read_log(folder)
    figure = new_figure(9, 3.2)
    for axis, names in zip(figure.subplots(1, 2), (("train/loss", "val/loss"), ("val/score",)), strict=True):
        for name in names:
            points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            steps, values = [step for step, _ in points], [value for _, value in points]
            axis.plot(steps, values, label=name, marker="." if len(points) < 40 else "")
        axis.set_xlabel("optimiser step")
        axis.legend()
        axis.grid(alpha=0.3)
    _save(figure, path)


def confusion_matrix(counts: npt.NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix, each row in shares of its true class.

    Args:
        counts: Truth × prediction, int64 `(C, C)`.
        classes: The C class names.
        path: PNG to write.
    """
    shares = row_shares(counts)
    size = max(4.0, 0.55 * len(classes) + 2)
    figure = new_figure(size, size)
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    axis.set_title("% of each true class", fontsize=9)
    axis.set_xlabel("prediction")
    axis.set_ylabel("truth")
    if len(classes) <= 30:
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else "black"
            axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=7)
    _save(figure, path)


def precision_recall(
    histogram: npt.NDArray[np.int64], classes: Sequence[str], palette: Sequence[Color], path: Path
) -> None:
    """Draw precision over recall of each class that occurs, at every threshold.

    Args:
        histogram: `LabelHistogram.compute`, int64 `(C, 2, BINS)`.
        classes: The C class names.
        palette: One RGB color per class.
        path: PNG to write.
    """
    figure = new_figure(5, 4.5)
    axis = figure.subplots()
    negatives, positives = histogram[:, :, ::-1].cumsum(2).transpose(1, 0, 2)
    for name, color, false, true in zip(classes, palette, negatives, positives, strict=True):
        is_predicted = (false + true > 0) & (true[-1] > 0)
        recall, precision = true[is_predicted] / true[-1].clip(1), true[is_predicted] / (false + true)[is_predicted]
        axis.step(recall, precision, label=name, color=np.array(color) / 255, where="post")
    axis.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)
    _save(figure, path)


def row_shares(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Divide the counts of each row of a confusion matrix, `(C, C)`, by their sum; a row of zeros stays 0."""
    shares: npt.NDArray[np.float64] = counts / counts.sum(1, keepdims=True).clip(1)
    return shares


def pareto_front(
    values: npt.NDArray[np.float64], front: Sequence[int], labels: Sequence[str], names: tuple[str, str], path: Path
) -> None:
    """Draw trials by a cost and a score, and the line through those that no other one beats in both.

    Args:
        values: Cost and score of each trial, float64 `(T, 2)`.
        front: Indices of the trials of the line.
        labels: Name of each trial of the line.
        names: Names of cost and score.
        path: PNG to write.
    """
    figure = new_figure(7, 4.5)
    axis = figure.subplots()
    axis.scatter(values[:, 0], values[:, 1], color="grey", s=18, label="trials")
    line = sorted(zip(values[list(front)].tolist(), labels, strict=True))
    costs, scores = zip(*(point for point, _ in line), strict=True)
    axis.plot(costs, scores, color="#c81e1e", marker="o", drawstyle="steps-post", label="Pareto front")
    for point, label in line:
        axis.annotate(label, point, xytext=(5, -10), textcoords="offset points", fontsize=7)
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    axis.margins(x=0.15, y=0.1)
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    _save(figure, path)


def range_test(curve: Sequence[tuple[float, float]], rate: float, path: Path) -> None:
    """Draw the loss of a learning-rate range test, and the learning rate that was taken.

    Args:
        curve: Learning rate and loss of each step.
        rate: The learning rate that was taken.
        path: PNG to write.
    """
    figure = new_figure(6, 3.5)
    axis = figure.subplots()
    rates, losses = zip(*curve, strict=True)
    axis.plot(rates, losses, marker=".", linewidth=1)
    axis.axvline(rate, color="#c81e1e", label=f"taken: {rate:g}")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    # where it diverges, the last losses would flatten the rest
    axis.set_ylim(0, 1.5 * max(losses[0], float(np.median(losses))))
    axis.set_xlabel("learning rate")
    axis.set_ylabel("train/loss")
    axis.legend()
    axis.grid(alpha=0.3)
    _save(figure, path)


def segmentation_examples(
    examples: Sequence[Example], classes: Sequence[str], palette: Sequence[Color], path: Path
) -> None:
    """Draw one row per image: image, truth, prediction and errors.

    Args:
        examples: Examples with masks.
        classes: The C class names.
        palette: One RGB color per class.
        path: PNG to write.
    """
    figure = new_figure(11, 2.3 * len(examples) + 0.7)
    grid = figure.subplots(len(examples), 4, squeeze=False)
    for axis, title in zip(grid[0], ("image", "truth", "prediction", "errors (red)"), strict=True):
        axis.set_title(title, fontsize=9)
    for row, example in zip(grid, examples, strict=True):
        pictures = (
            example.image,
            colorize(example.target, palette),
            colorize(example.prediction, palette),
            errors(example.target, example.prediction),
        )
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture)
            axis.set_axis_off()
    void = any((example.target == IGNORE).any() for example in examples)
    legend(figure, classes, palette, void, fontsize=8)
    _save(figure, path, bottom=0.55 / figure.get_figheight())


def classification_examples(examples: Sequence[Example], classes: Sequence[str], path: Path) -> None:
    """Draw a grid of images, each titled with its predicted class, and with the true class where that differs.

    Args:
        examples: Examples of whole images.
        classes: The C class names.
        path: PNG to write.
    """
    columns = min(8, len(examples))
    rows = -(-len(examples) // columns)
    figure = new_figure(1.5 * columns, 1.7 * rows)
    for axis, example in zip(figure.subplots(rows, columns, squeeze=False).flat, examples, strict=False):
        is_right = bool(((example.target == example.prediction) | (example.target == IGNORE)).all())
        title = describe_labels(example.prediction, classes)
        axis.imshow(example.image, interpolation="nearest")
        if not is_right:
            title += f"\n(is {describe_labels(example.target, classes)})"
        axis.set_title(title, fontsize=8, color="black" if is_right else "#c01e1e")
    for axis in figure.axes:
        axis.set_axis_off()
    _save(figure, path)


def example_folder(folder: Path, path: Path) -> None:
    """Draw the examples of a folder that `write_examples` wrote; nothing without such a folder.

    Args:
        folder: Folder to read.
        path: PNG to write.
    """
    examples, classes = read_examples(folder)
    if not examples:
        return
    if examples[0].target.ndim >= 2:
        segmentation_examples(examples, classes, read_palette(folder, len(classes)), path)
    else:
        classification_examples(examples, classes, path)


def colorize(mask: npt.NDArray[Any], palette: Sequence[Color]) -> Image:
    """Return the colors, uint8 `(H, W, 3)`, of class ids, `(H, W)`; void is white.

    Of classes that may overlap, 0, 1 or void `(C, H, W)`, a pixel has the mean color of those it has, or is black; it
    is void where it has none and one of them is void.
    """
    if mask.ndim == 2:
        picture: Image = color_table(palette)[mask]
        return picture
    is_class = mask == 1
    total = np.einsum("chw,cd->hwd", is_class.astype(np.float32), np.asarray(palette, np.float32))
    number = is_class.sum(0)
    picture = (total / np.maximum(number, 1)[..., None]).astype(np.uint8)
    picture[(number == 0) & (mask == IGNORE).any(0)] = VOID
    return picture


def errors(target: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> Image:
    """Return right pixels in gray and wrong ones in red, uint8 `(H, W, 3)`; void is white."""
    is_right, is_void = target == prediction, target == IGNORE
    if target.ndim == 3:
        # of classes that may overlap, those that are not void must all be right
        is_right, is_void = (is_right | is_void).all(0), is_void.all(0)
    picture = np.where(is_right[..., None], _RIGHT, _WRONG).astype(np.uint8)
    picture[is_void] = VOID
    return picture


def label_errors(target: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> Image:
    """Return the errors about a class that may overlap others, uint8 `(H, W, 3)`.

    False alarms are red, missed pixels blue, found ones gray, those that are rightly without it black, and void white.

    Args:
        target: 0, 1 or void, `(H, W)`.
        prediction: 0 or 1, `(H, W)`.
    """
    colors = np.array([[_ABSENT, _WRONG], [_MISSED, _RIGHT]], np.uint8)
    picture: Image = colors[(target == 1).astype(int), prediction.astype(int)]
    picture[target == IGNORE] = VOID
    return picture


def legend(figure: Figure, classes: Sequence[str], palette: Sequence[Color], void: bool, fontsize: int) -> None:
    """Add a legend of the class colors below a figure.

    Args:
        figure: Figure to add it to.
        classes: The C class names.
        palette: One RGB color per class.
        void: Whether to include void.
        fontsize: In points.
    """
    colors, names = [*palette, *[VOID] * void], [*classes, *["void"] * void]
    patches = [Patch(facecolor="#{:02x}{:02x}{:02x}".format(*color), edgecolor="grey") for color in colors]
    figure.legend(patches, names, loc="lower center", ncols=min(8, len(classes) + 1), fontsize=fontsize)


def new_figure(width: float, height: float) -> Figure:
    """Return a figure that needs no display and leaves no global state; width and height in inches."""
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    return figure


def disable_math_text(figure: Figure) -> None:
    """Show the text of a figure as it is; matplotlib would typeset a name between dollar signs as mathematics."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)


def _save(figure: Figure, path: Path, bottom: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    disable_math_text(figure)
    figure.tight_layout(rect=(0, bottom, 1, 1))
    figure.savefig(path)
