"""Prediction of image files, one after another, into an output folder."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from lightseg.config import class_errors
from lightseg.data.io.image_values import image_values
from lightseg.errors import ConfigError, DataError, LightsegError, RunError, UserError
from lightseg.files.printable import printable
from lightseg.inference.class_mask_writer import ClassOutputs, file_names, write_class_masks
from lightseg.inference.geotiff import read_georeference
from lightseg.inference.inference_config import InferenceConfig
from lightseg.inference.inputs import Item
from lightseg.inference.mask_writer import Outputs, write_masks
from lightseg.inference.predictor import Predictor
from lightseg.inference.readers import Source, source_from_file
from lightseg.inference.results import Results

Work: TypeAlias = Callable[[Item, Source, Callable[[float], None]], None]
"""Prediction of one image; it is called with a function that shows the share that is done."""

_TOO_LARGE = "does not fit the GPU; give a (smaller) --window"


class OutputOptions(NamedTuple):
    """Outputs beside masks and labels, and the number of windows in one pass.

    Attributes:
        overlays: Write image and classes in one picture.
        probabilities: Write the probabilities of the classes.
        batch_size: Windows in one pass; None for the number that suits the device.
        multichannel: Write classes that may overlap into one TIFF with a channel for each.
    """

    overlays: bool = False
    probabilities: bool = False
    batch_size: int | None = None
    multichannel: bool = False


def predict_files(
    task: Predictor, items: Sequence[Item], protocol: InferenceConfig, results: Results, options: OutputOptions
) -> int:
    """Predict all images that the output folder lacks.

    Args:
        task: The trained task.
        items: The images.
        protocol: How images are shown to the net.
        results: The output folder.
        options: What is written.

    Returns:
        The number of images that could not be predicted, which are named on stderr.

    Raises:
        RunError: If the disk is full.
    """
    predict = _segment if task.kind == "segmentation" else _classify
    return predict(task, items, protocol, results, options)


def _output_paths(
    task: Predictor, items: Sequence[Item], folder: Path, options: OutputOptions
) -> dict[Item, Outputs | ClassOutputs]:
    """Return the files that a segmentation writes for each image.

    Raises:
        UserError: If two images have a file in common.
    """
    outputs: dict[Item, Outputs | ClassOutputs] = {}
    names = [f"_{name}" for name in file_names(task.classes)] if task.multilabel else []
    for item in items:
        overlay = folder / "overlays" / f"{item.name}.jpg" if options.overlays else None
        probabilities = folder / "probabilities" / f"{item.name}.npy" if options.probabilities else None
        georeference = read_georeference(item.file, item.page)
        suffix = "png" if georeference is None else "tif"
        if task.multilabel:
            ends = [".tif"] if options.multichannel else [f"{name}.{suffix}" for name in names]
            masks = tuple(folder / f"{item.name}{end}" for end in ends)
            outputs[item] = ClassOutputs(masks, options.multichannel, overlay, probabilities, georeference)
        else:
            outputs[item] = Outputs(folder / f"{item.name}.{suffix}", overlay, probabilities, georeference)
    owners: dict[Path, Item] = {}
    for item, files in outputs.items():
        for path in files.paths:
            if (owner := owners.setdefault(path, item)) is not item:
                raise UserError(f"{path}: would be a mask of {owner.label} and of {item.label}; give --multichannel")
    return outputs


def _segment(
    task: Predictor, items: Sequence[Item], protocol: InferenceConfig, results: Results, options: OutputOptions
) -> int:
    """Write the masks of all images that are not done; return the number of failed images."""
    outputs = _output_paths(task, items, results.folder, options)

    def work(item: Item, source: Source, progress: Callable[[float], None]) -> None:
        item_protocol = task.protocol_for(source.size, protocol)
        if item_protocol != protocol:
            name = printable(item.label)
            print(f"{name}: {source.size[0]} × {source.size[1]} pixels are too many at once: {item_protocol.view}")
        files, settings = outputs[item], (task.recipe["palette"], options.batch_size, progress)
        if isinstance(files, ClassOutputs):
            write_class_masks(task, source, item_protocol, files, *settings)
        else:
            write_masks(task, source, item_protocol, files, *settings)
        results.add(item, size=source.size, window=item_protocol.window)

    remaining = [item for item in items if not results.has(item, outputs[item].paths)]
    return _process(remaining, len(items), task.recipe, results.folder, work)


def _classify(
    task: Predictor, items: Sequence[Item], protocol: InferenceConfig, results: Results, options: OutputOptions
) -> int:
    """Record the class of all images that are not done; return the number of failed images."""

    def work(item: Item, source: Source, _progress: Callable[[float], None]) -> None:
        (_, _, logits), *_ = task.predict_blocks(source, protocol)
        probabilities = task.probabilities(logits / task.temperature_under(protocol), 0).tolist()
        labels = task.decide(logits[None])[0].tolist()
        results.add(item, **{"labels" if task.multilabel else "class": labels, "probabilities": probabilities})

    remaining = [item for item in items if not results.has(item, [])]
    try:
        return _process(remaining, len(items), task.recipe, results.folder, work)
    finally:
        results.write_labels(items, task.classes, options.probabilities)


def _process(remaining: Sequence[Item], total: int, recipe: dict[str, Any], out: Path, work: Work) -> int:
    """Process each image, with a progress bar; name the images that fail and return their number."""
    console, done, broken = Console(stderr=True), total - len(remaining), 0
    with Progress(console=console, disable=not console.is_terminal) as bar:
        progress = bar.add_task("predict", total=total, completed=done)
        for item, loaded in _read_ahead(remaining, recipe):
            bar.update(progress, completed=done, description=escape(printable(item.file.name)))
            try:
                work(item, loaded.result(), partial(_show, bar, progress, done))
            except OSError as error:
                failure = error.strerror or error
                raise RunError(f"{error.filename or out}: {failure}; the same command goes on from here") from None
            except Exception as error:
                reason = _describe_failure(item, error)
                if reason is None:
                    raise
                broken += 1
                print(f"lightseg: {printable(reason)}", file=sys.stderr)
            done += 1
        bar.update(progress, completed=total, description="predict")
    skipped = f", {total - len(remaining)} were there" if len(remaining) < total else ""
    print(printable(f"predicted {len(remaining) - broken} of {total} images{skipped}: {out}"))
    return broken


def _describe_failure(item: Item, error: Exception) -> str | None:
    """Return the message about an image that failed; None if the image did not cause the error."""
    if isinstance(error, DataError):
        return str(error) if str(item.file) in str(error) else f"{item.label}: {error}"
    if isinstance(error, ConfigError | torch.OutOfMemoryError):
        return f"{item.label}: {error if isinstance(error, ConfigError) else _TOO_LARGE}"
    # libraries' nets raise various errors for sizes; errors in the user's code keep their traceback
    if isinstance(error, LightsegError) or class_errors.passes_user_code(error.__traceback__):
        return None
    return f"{item.label}: cannot be predicted: {class_errors.reason(error)}"


def _show(bar: Progress, progress: TaskID, done: int, share: float) -> None:
    bar.update(progress, completed=done + share)


def _read_ahead(items: Sequence[Item], recipe: dict[str, Any]) -> Iterator[tuple[Item, Future[Source]]]:
    """Yield the images in order, and read the next one while one is predicted."""
    channels, values = recipe["in_channels"], image_values(recipe)
    with ThreadPoolExecutor(1) as reader:
        submitted = (reader.submit(source_from_file, item.file, channels, item.page, values) for item in items)
        ahead = deque(islice(submitted, 1))
        for item in items:
            ahead.extend(islice(submitted, 1))
            yield item, ahead.popleft()
