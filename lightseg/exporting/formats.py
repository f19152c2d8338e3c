"""Formats of a graph: each is written and run here."""

import importlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightseg.checkpoint.safetensors import as_texts
from lightseg.errors import ConfigError
from lightseg.exporting.graph import OUTPUTS, Traced

Predict: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Probabilities and classes of uint8 images; see `InferenceGraph`."""

ONNX, INT8, TORCH_EXPORT = "model.onnx", "model.int8.onnx", "model.pt2"


def require_onnx() -> None:
    """See that what ONNX needs is installed.

    Raises:
        ConfigError: If not.
    """
    for name in ("onnx", "onnxruntime", "onnxscript"):
        try:
            importlib.import_module(name)
        except ImportError:
            raise ConfigError(
                f"--format onnx needs {name}, which is not installed: pip install 'lightseg[onnx]'"
            ) from None


def write_onnx(traced: Traced, file: Path, facts: dict[str, Any]) -> None:
    """Write one `.onnx` file; the facts are its metadata."""
    with _quiet():
        program = torch.onnx.export(
            traced.program, dynamo=True, input_names=["image"], output_names=list(OUTPUTS), verbose=False
        )
    # only the old exporter gives nothing
    assert program is not None
    names = [str(side) for side in program.model.graph.inputs[0].shape or []]
    axes = zip(names, ("batch", None, "height", "width"), strict=True)
    program.rename_axes({symbol: name for symbol, name in axes if name and not symbol.isdigit()})
    program.model.metadata_props.update(as_texts(facts))
    program.model.producer_name, program.model.producer_version = "lightseg", facts["lightseg"]
    program.save(file)


def open_onnx(file: Path) -> Predict:
    """Run an `.onnx` file with onnxruntime on the CPU, on as many threads as torch has."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # errors alone: it warns of what its own quantiser writes
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def predict(image: Tensor) -> tuple[Tensor, Tensor]:
        probabilities, classes = session.run(list(OUTPUTS), {"image": image.numpy()})
        return torch.from_numpy(probabilities), torch.from_numpy(classes)

    return predict


def write_torch_export(traced: Traced, file: Path, facts: dict[str, Any]) -> None:
    """Write one `.pt2` file; the facts are in it as `lightseg.json`, which `torch.export.load` gives as extra file."""
    content = io.BytesIO()
    # in memory first: what torch does when a disk is full is to end the process
    torch.export.save(traced.program, content, extra_files={"lightseg.json": json.dumps(facts)})
    file.write_bytes(content.getbuffer())


def open_torch_export(file: Path) -> Predict:
    """Run a `.pt2` file with torch."""
    module = torch.export.load(file).module()

    def predict(image: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            probabilities, classes = module(image)
        return probabilities, classes

    return predict


GRAPHS = {"onnx": (write_onnx, open_onnx), "torch_export": (write_torch_export, open_torch_export)}
"""How the formats of a graph are written and run."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says of its own inside; what is wrong with a graph, the check against torch finds."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
