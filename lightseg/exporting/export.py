"""Export of a run: trace, write to a temporary folder, check parity with torch, describe, then move into place."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightseg.checkpoint import loading
from lightseg.checkpoint.locate import model_file
from lightseg.checkpoint.rebuild import data_and_block, keep_image_values, merge_adapters
from lightseg.data import ImageDataModule
from lightseg.data.io.image_values import image_values
from lightseg.errors import ConfigError, DataError, LightsegError, RunError, UserError
from lightseg.exporting import formats, model_card, parity, safetensors
from lightseg.exporting.benchmark import benchmark
from lightseg.exporting.formats import INT8, Predict
from lightseg.exporting.graph import InferenceGraph, takes_any_size, trace
from lightseg.exporting.metadata import collect_metadata
from lightseg.exporting.options import (
    CALIBRATION,
    CARD,
    FILES,
    PARITY,
    SIZES,
    ExportOptions,
    ExportResult,
    describe_sizes,
)
from lightseg.exporting.parity import ODD, Parity, ParitySample
from lightseg.exporting.quantize import quantize
from lightseg.files.atomic import nearest_folder
from lightseg.runs.records import read_record
from lightseg.tasks import Task


def export_model(
    options: ExportOptions, soup: Task | None = None, soup_metadata: Mapping[str, Any] | None = None
) -> ExportResult:
    """Export a run.

    Args:
        options: The options.
        soup: Task with the mean of the weights of several runs, of which `options.run` is one; None for that run.
        soup_metadata: What replaces the metadata of the run.

    Raises:
        UserError: If the options do not fit the run, or its data is missing; nothing is written.
        RunError: If the exported file differs from torch; earlier files are unchanged.
    """
    # on the file system of the destination, so that moving the files is quick
    parent = nearest_folder(options.out, "--out")
    _check_options(options)
    task = soup or loading.load(options.run, options.trust)
    if not task.recipe["config"].get("data"):
        raise UserError(f"{model_file(options.run)}: its recipe has no data, of which a model card tells")
    if options.format == "onnx":
        # onnxruntime has no float64 convolutions
        task.float()
    data, samples = _parity_samples(options, task)
    merged = merge_adapters(task)
    metadata = collect_metadata(merged, options.run, model_file(options.run), options.licence) | dict(
        soup_metadata or {}
    )
    with tempfile.TemporaryDirectory(dir=parent, prefix=".export-") as temporary:
        result = _write(options, task, merged, data, samples, metadata, Path(temporary))
        _describe(options, metadata, result, Path(temporary))
        return _move_into_place(options, result)


def _check_options(options: ExportOptions) -> None:
    """Check the options before the run is loaded.

    Raises:
        UserError: If they are wrong, or the destination is in use.
    """
    for name in (*FILES[options.format], PARITY, CARD):
        if (options.out / name).is_dir():
            raise UserError(f"--out {options.out}: {name} is a folder there; give another place")
    if (options.out / CARD).exists() and not (options.out / PARITY).exists():
        raise UserError(f"--out {options.out}: has a {CARD} that is not of an export; give a new or an empty folder")
    if options.format == "onnx":
        formats.require_onnx()
    if options.int8 and options.format != "onnx":
        raise ConfigError(f"--int8 is for --format onnx, not {options.format}: onnxruntime quantises ONNX files")
    if options.int8 and not options.images:
        raise ConfigError("--int8 needs images to measure the range of every layer on: leave out --images 0")
    if options.data and not options.images:
        raise ConfigError(f"{options.data[0]}: changes images that --images 0 does not look at; leave out one of them")


def _parity_samples(options: ExportOptions, task: Task) -> tuple[ImageDataModule | None, list[ParitySample]]:
    """Return the data module and validation samples for the parity check; None and noise for `--images 0`.

    Raises:
        ConfigError: If the format takes uint8 images unscaled, and the config sets the range of their values.
        DataError: If the validation images cannot be read.
    """
    values = image_values(task.recipe)
    if (values.ranges or values.nodata is not None) and options.format != "safetensors":
        raise ConfigError(
            f"--format {options.format}: takes 8-bit images as they are, and data.value_range or data.nodata say what "
            "these hold; take --format safetensors, which knows it"
        )
    if not options.images:
        if options.format != "safetensors":
            parity.require_bytes(read_record(options.run / "model.json").get("dtype"))
        return None, parity.random_samples(4, task.recipe["in_channels"], _image_size(options.run))
    try:
        data, _, block = data_and_block(task.recipe["config"], options.data, options.trust, model_file(options.run))
        keep_image_values(data, task.recipe, block)
        return data, parity.read_samples(data, "val", options.images, every_dtype=options.format == "safetensors")
    except DataError as error:
        raise DataError(
            f"{error}\nAn export is checked on validation images: say where they are (--data.root FOLDER), "
            "or give --images 0 to check it on random ones"
        ) from None


def _image_size(run: Path) -> tuple[int, int]:
    """Return height and width of the images that a run was trained on.

    Raises:
        UserError: If the run did not record them.
    """
    shape = read_record(run / "model.json").get("input")
    if not shape:
        raise UserError(f"{run / 'model.json'}: is missing, or does not tell the size of the images; bring it back")
    height, width = shape[1:]
    return height, width


def _write(
    options: ExportOptions,
    task: Task,
    merged: Task,
    data: ImageDataModule | None,
    samples: list[ParitySample],
    metadata: dict[str, Any],
    folder: Path,
) -> ExportResult:
    """Write the files of a format, without adapters, to a folder, check their parity with the task and time them.

    Raises:
        UserError: If the net cannot be traced, or does not accept the sizes to time.
        RunError: If a file cannot be written, does not run or differs from torch.
    """
    if options.format == "safetensors":
        size = None if takes_any_size(merged) else _image_size(options.run)
        files, smallest = safetensors.write(merged, folder, metadata), size or (1, 1)
        predict = _inference(loading.reload(files[0]))
    else:
        traced = trace(merged, _image_size(options.run))
        files, size = [folder / FILES[options.format][0]], traced.size
        # only torch enforces the smallest size
        smallest = size or (traced.smallest if options.format == "torch_export" else (1, 1))
        write, open_file = formats.GRAPHS[options.format]
        with _translate_errors(f"{files[0].name} cannot be written"):
            write(traced, files[0], {**metadata, "size": size or "any"})
            predict = open_file(files[0])
    sizes = _benchmark_sizes(options, size, smallest)
    parities = [_compare(options, files[0], task, predict, samples)]
    if not size and all(odd >= least for odd, least in zip(ODD, smallest, strict=True)):
        parities.append(_compare(options, files[0], task, predict, parity.odd_samples(samples)))
    runtimes, int8, images = {"torch": _inference(merged), options.format: predict}, None, []
    if options.int8 and data is not None:
        files.append(folder / INT8)
        images = [image for image, _ in parity.read_samples(data, "train", CALIBRATION)]
        runtimes["onnx int8"] = _quantize(files[0], files[1], images)
        with _translate_errors("--int8"):
            int8 = parity.compare(task, runtimes["onnx int8"], samples)
    with _translate_errors("--benchmark"):
        timings = benchmark(runtimes, sizes, task.recipe["in_channels"])
    source = "validation images" if options.images else "random images"
    odd = parities[1] if parities[1:] else None
    # lightseg applies them itself when it loads safetensors
    before = [] if options.format == "safetensors" else metadata["eval_transforms"]
    return ExportResult(files, size, smallest, before, source, parities[0], odd, int8, len(images), timings)


def _quantize(source: Path, destination: Path, images: Sequence[Tensor]) -> Predict:
    """Write the quantized file of an ONNX file, and return its prediction function.

    Raises:
        RunError: If it cannot be quantized.
    """
    with _translate_errors("--int8"):
        quantize(source, destination, images)
        return formats.open_onnx(destination)


def _benchmark_sizes(
    options: ExportOptions, size: tuple[int, int] | None, smallest: tuple[int, int]
) -> Sequence[tuple[int, int]]:
    """Return the heights and widths to time a file at; empty without `--benchmark`.

    Raises:
        ConfigError: If the file does not accept one of them.
    """
    for height, width in options.sizes:
        if size not in (None, (height, width)) or height < smallest[0] or width < smallest[1]:
            raise ConfigError(f"--sizes {height}x{width}: the net takes {describe_sizes(size or 'any', smallest)}")
    return (options.sizes or ([size] if size else SIZES)) if options.benchmark else ()


@contextmanager
def _translate_errors(step: str) -> Iterator[None]:
    """Translate any exception of a library into one line.

    Args:
        step: What was being done, for the message.

    Raises:
        RunError: If a library raises.
    """
    try:
        yield
    except (LightsegError, OSError):
        # the verb prints these in one line
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise RunError(f"{step}: {reason}; nothing was written") from None


def _inference(task: Task) -> Predict:
    """Return the prediction function of a task in torch."""
    graph = InferenceGraph(task)

    @torch.inference_mode()
    def predict(image: Tensor) -> tuple[Tensor, Tensor]:
        probabilities, classes = graph(image)
        return probabilities, classes

    return predict


def _compare(options: ExportOptions, file: Path, task: Task, predict: Predict, samples: list[ParitySample]) -> Parity:
    """Compare an exported file with torch.

    Raises:
        RunError: If they differ by more than the tolerance, or the file does not run.
    """
    # safetensors are run by torch itself, with equal weights unless adapters are merged
    tolerance = 0.0 if options.format == "safetensors" and not task.adapters else options.tolerance
    with _translate_errors(f"{file.name} does not run"):
        result = parity.compare(task, predict, samples)
    if not result.holds(tolerance):
        raise RunError(
            f"{file.name} differs from torch: {result}; allowed are {tolerance:g} (--tolerance), "
            f"{100 * parity.AGREEMENT:g} % and {parity.SCORE:g}. Nothing was written"
        )
    return result


def _describe(options: ExportOptions, metadata: dict[str, Any], result: ExportResult, folder: Path) -> None:
    """Write `parity.json` and the model card, which also cover earlier exports of the same weights."""
    earlier = read_record(options.out / PARITY) if (options.out / PARITY).is_file() else {}
    records = {name: record for name, record in earlier.items() if record["checkpoint"] == metadata["checkpoint"]}
    records[result.files[0].name] = {"checkpoint": metadata["checkpoint"], **result.record(options.tolerance)}
    result.files.extend([folder / PARITY, folder / CARD])
    name = metadata["recipe"]["config"].get("name") or options.run.parent.name
    (folder / PARITY).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    (folder / CARD).write_text(model_card.write(name, metadata, records), encoding="utf-8")


def _move_into_place(options: ExportOptions, result: ExportResult) -> ExportResult:
    """Move the files to `--out`, and remove other files of an earlier export of the format."""
    options.out.mkdir(parents=True, exist_ok=True)
    files = [file.replace(options.out / file.name) for file in result.files]
    for name in FILES[options.format]:
        if options.out / name not in files:
            (options.out / name).unlink(missing_ok=True)
    return replace(result, files=files)
