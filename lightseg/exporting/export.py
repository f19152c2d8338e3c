"""Export from beginning to end: trace, write, check against torch, describe, then put in place."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightseg.checkpoint import loading
from lightseg.checkpoint.locate import model_file
from lightseg.checkpoint.rebuild import build_data
from lightseg.data import ImageDataModule
from lightseg.errors import ConfigError, DataError, LightsegError, RunError, UserError
from lightseg.exporting import formats, model_card, parity, safetensors
from lightseg.exporting.benchmark import benchmark
from lightseg.exporting.formats import INT8, Predict
from lightseg.exporting.graph import InferenceGraph, takes_any_size, trace
from lightseg.exporting.metadata import collect_metadata
from lightseg.exporting.options import CALIBRATION, CARD, FILES, PARITY, SIZES, ExportOptions, ExportResult, taken
from lightseg.exporting.parity import ODD, Parity, Sample
from lightseg.exporting.quantize import quantize
from lightseg.files.atomic import nearest_folder
from lightseg.runs.records import read_record
from lightseg.tasks import Task


def export_model(request: ExportOptions) -> ExportResult:
    """Export a run.

    Raises:
        UserError: If it cannot be exported so, or its data is gone; nothing has been written.
        RunError: If what was exported is not what torch says; what was there before is as it was.
    """
    # where the files belong, or as near as can be, so that they take their place in a moment
    near = nearest_folder(request.out, "--out")
    _check(request)
    task = loading.load(request.run, request.trust)
    if not task.recipe["config"].get("data"):
        raise UserError(f"{model_file(request.run)}: its recipe has no data, of which a model card tells")
    if request.format == "onnx":
        # onnxruntime has no convolutions in float64
        task.float()
    data, samples = _samples(request, task)
    facts = collect_metadata(task, request.run, model_file(request.run), request.licence)
    with tempfile.TemporaryDirectory(dir=near, prefix=".export-") as place:
        result = _write(request, task, data, samples, facts, Path(place))
        _describe(request, facts, result, Path(place))
        return _put_in_place(request, result)


def _check(request: ExportOptions) -> None:
    for name in (*FILES[request.format], PARITY, CARD):
        if (request.out / name).is_dir():
            raise UserError(f"--out {request.out}: {name} is a folder there; give another place")
    if (request.out / CARD).exists() and not (request.out / PARITY).exists():
        raise UserError(f"--out {request.out}: has a {CARD} that is not of an export; give a new or an empty folder")
    if request.format == "onnx":
        formats.require_onnx()
    if request.int8 and request.format != "onnx":
        raise ConfigError(f"--int8 is for --format onnx, not {request.format}: onnxruntime quantises ONNX files")
    if request.int8 and not request.images:
        raise ConfigError("--int8 needs images to measure the range of every layer on: leave out --images 0")
    if request.data and not request.images:
        raise ConfigError(f"{request.data[0]}: changes images that --images 0 does not look at; leave out one of them")


def _samples(request: ExportOptions, task: Task) -> tuple[ImageDataModule | None, list[Sample]]:
    """Return what to check on: images of the validation split, or noise where that is asked for.

    Raises:
        ConfigError: If the format takes 8 bits as they are in the file, and the images have a meaning of their own.
    """
    if "image_values" in task.recipe and request.format != "safetensors":
        raise ConfigError(
            f"--format {request.format}: takes 8-bit images as they are, and data.value_range or data.nodata say what "
            "these hold; take --format safetensors, which knows it"
        )
    if not request.images:
        if request.format != "safetensors":
            parity.require_bytes(read_record(request.run / "model.json").get("dtype"))
        return None, parity.random_samples(4, task.recipe["in_channels"], _image_size(request.run))
    try:
        data = build_data(task.recipe["config"], request.data, request.trust, model_file(request.run))
        return data, parity.read_samples(data, "val", request.images, every_dtype=request.format == "safetensors")
    except DataError as error:
        raise DataError(
            f"{error}\nAn export is checked on validation images: say where they are (--data.root FOLDER), "
            "or give --images 0 to check it on random ones"
        ) from None


def _image_size(run: Path) -> tuple[int, int]:
    """Height and width of the images that a run was trained on."""
    size = read_record(run / "model.json").get("input")
    if not size:
        raise UserError(f"{run / 'model.json'}: is missing, or does not tell the size of the images; bring it back")
    height, width = size[1:]
    return height, width


def _write(
    request: ExportOptions,
    task: Task,
    data: ImageDataModule | None,
    samples: list[Sample],
    facts: dict[str, Any],
    place: Path,
) -> ExportResult:
    """Write the files of a format, check and time them."""
    if request.format == "safetensors":
        size = None if takes_any_size(task) else _image_size(request.run)
        files, smallest = safetensors.write(task, place, facts), size or (1, 1)
        predict = _inference(loading.reload(files[0]))
    else:
        traced = trace(task, _image_size(request.run))
        files, size = [place / FILES[request.format][0]], traced.size
        # only torch looks at it
        smallest = size or (traced.smallest if request.format == "torch_export" else (1, 1))
        write, run = formats.GRAPHS[request.format]
        with _in_a_line(f"{files[0].name} cannot be written"):
            write(traced, files[0], {**facts, "size": size or "any"})
            predict = run(files[0])
    sizes = _sizes(request, size, smallest)
    parities = [_compare(request, files[0], task, predict, samples)]
    if not size and all(odd >= least for odd, least in zip(ODD, smallest, strict=True)):
        parities.append(_compare(request, files[0], task, predict, parity.odd_samples(samples)))
    runtimes, int8, images = {"torch": _inference(task), request.format: predict}, None, []
    if request.int8 and data is not None:
        files.append(place / INT8)
        images = [image for image, _ in parity.read_samples(data, "train", CALIBRATION)]
        with _in_a_line("--int8"):
            quantize(files[0], files[1], images)
            runtimes["onnx int8"] = formats.open_onnx(files[1])
            int8 = parity.compare(task, runtimes["onnx int8"], samples)
    with _in_a_line("--benchmark"):
        timings = benchmark(runtimes, sizes, task.recipe["in_channels"])
    source = "validation images" if request.images else "random images"
    odd = parities[1] if parities[1:] else None
    # with safetensors lightseg does it by itself
    before = [] if request.format == "safetensors" else facts["eval_transforms"]
    return ExportResult(files, size, smallest, before, source, parities[0], odd, int8, len(images), timings)


def _sizes(
    request: ExportOptions, size: tuple[int, int] | None, smallest: tuple[int, int]
) -> Sequence[tuple[int, int]]:
    """Return the heights and widths to time a file at.

    Raises:
        ConfigError: If it does not take them.
    """
    for height, width in request.sizes:
        if size not in (None, (height, width)) or height < smallest[0] or width < smallest[1]:
            raise ConfigError(f"--sizes {height}x{width}: the net takes {taken(size or 'any', smallest)}")
    return (request.sizes or ([size] if size else SIZES)) if request.benchmark else ()


@contextmanager
def _in_a_line(what: str) -> Iterator[None]:
    """Say in a line what went wrong in a library; these have no common errors."""
    try:
        yield
    except (LightsegError, OSError):
        # the first is a line already, and what has become of a disk is said elsewhere
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise RunError(f"{what}: {reason}; nothing was written") from None


def _inference(task: Task) -> Predict:
    """Return a task as the runtimes are called."""
    graph = InferenceGraph(task)

    @torch.inference_mode()
    def predict(image: Tensor) -> tuple[Tensor, Tensor]:
        probabilities, classes = graph(image)
        return probabilities, classes

    return predict


def _compare(request: ExportOptions, file: Path, task: Task, predict: Predict, samples: list[Sample]) -> Parity:
    """Compare an exported file with torch.

    Raises:
        RunError: If they differ by more than is let pass, or the file does not run at all.
    """
    # nothing is computed in another way there
    tolerance = 0.0 if request.format == "safetensors" else request.tolerance
    with _in_a_line(f"{file.name} does not run"):
        result = parity.compare(task, predict, samples)
    if not result.holds(tolerance):
        raise RunError(
            f"{file.name} does not say what torch says: {result}; let pass are {tolerance:g} (--tolerance), "
            f"{100 * parity.AGREEMENT:g} % and {parity.SCORE:g}. Nothing was written"
        )
    return result


def _describe(request: ExportOptions, facts: dict[str, Any], result: ExportResult, place: Path) -> None:
    """Write `parity.json` and the model card, which also tell of the other formats that are there."""
    before = read_record(request.out / PARITY) if (request.out / PARITY).is_file() else {}
    # of the same weights alone
    records = {name: record for name, record in before.items() if record["checkpoint"] == facts["checkpoint"]}
    records[result.files[0].name] = {"checkpoint": facts["checkpoint"], **result.record(request.tolerance)}
    result.files.extend([place / PARITY, place / CARD])
    name = facts["recipe"]["config"].get("name") or request.run.parent.name
    (place / PARITY).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    (place / CARD).write_text(model_card.write(name, facts, records), encoding="utf-8")


def _put_in_place(request: ExportOptions, result: ExportResult) -> ExportResult:
    """Move the files to where they belong, and remove what an earlier export of the format has left."""
    request.out.mkdir(parents=True, exist_ok=True)
    files = [file.replace(request.out / file.name) for file in result.files]
    for name in FILES[request.format]:
        if request.out / name not in files:
            (request.out / name).unlink(missing_ok=True)
    return replace(result, files=files)
